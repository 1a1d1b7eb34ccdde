#!/bin/bash
# Leaves two orphans behind, and then becomes `sleep`, which never calls wait().
(sleep 1 &)
(sleep 1 &)
exec sleep "$1"
