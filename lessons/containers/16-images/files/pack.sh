#!/bin/bash
# pack.sh DIR PROGRAM...: programas con las bibliotecas que piden, y nada más · programs, with the libraries
# that they ask for, and nothing else
set -e
root=$1; shift
mkdir -p $root/tmp
for program; do
  path=$(command -v $program)
  for file in $path $(ldd $path | grep -o '/[^ ]*'); do
    mkdir -p $root$(dirname $file)
    cp --dereference $file $root$file
  done
done
