#!/bin/bash
# Works until somebody ends it.
while :; do
  sleep 1
done
