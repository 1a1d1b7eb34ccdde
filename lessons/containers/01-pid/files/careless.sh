#!/bin/bash
# Leaves two orphans behind, and then becomes `sleep`, which never calls wait().
(sleep 2 &)
(sleep 2 &)
exec sleep "$1"
