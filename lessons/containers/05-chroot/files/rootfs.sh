#!/bin/bash
# rootfs.sh DIRECTORY PROGRAM…: copies the programs into DIRECTORY, and the libraries that they are linked with.
set -e
directory=$1
shift
mkdir -p "$directory"/{usr/bin,usr/sbin,proc}
[ -e "$directory/bin" ] || ln -s usr/bin "$directory/bin"
for program; do
  path=$(command -v "$program")
  cp --parents --remove-destination "$path" $(ldd "$path" | grep -o '/[^ ]*') "$directory"
done
[ ! -d /usr/lib/locale/C.utf8 ] || cp -r --parents /usr/lib/locale/C.utf8 "$directory"  # perl asks for it.
