#!/bin/bash
# Works until somebody ends it.
while :; do
  sleep 0.5
done
