#!/bin/bash
# fill.sh NAME FILE...: guarda el archivo con su digest por nombre, y pone digest y tamaño donde los piden
# keeps the file under its digest, and puts digest and size where they are asked for
#
#   ./fill.sh BASE base.tar config.json manifest.json
#
set -e
name=$1 file=$2; shift 2
digest=$(sha256sum "$file" | cut -d' ' -f1)
cp "$file" /tmp/image/blobs/sha256/$digest
sed -i "s/${name}_DIGEST/$digest/; s/${name}_SIZE/$(stat -c %s "$file")/" "$@"
echo "sha256:$digest $file"
