#!/bin/bash
# in.sh NUMBER COMMAND…: runs the command in the network namespace of boxNUMBER.
exec nsenter --target "$(pgrep -f "^box$1 ")" --net "${@:2}"
