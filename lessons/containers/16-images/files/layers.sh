#!/bin/bash
# Las dos capas del paso 2 · the two layers of step 2: base.tar, top.tar
set -e
./pack.sh /tmp/base bash sleep ls cat
echo "clave: $WORD" > /tmp/base/secret
tar -C /tmp/base -cf base.tar .
mkdir -p /tmp/top
echo 'echo "$WORD"; exec sleep $SECS' > /tmp/top/hello
touch /tmp/top/.wh.secret
tar -C /tmp/top -cf top.tar hello .wh.secret
