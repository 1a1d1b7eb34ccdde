#!/bin/bash
# El contenedor por dentro: se ejecuta en espacios de nombres nuevos, y acaba siendo su PID 1.
# A container from inside: run it in new namespaces; it ends up as their PID 1.
set -e
root=/tmp/$NAME

# 1. Sistema de archivos raíz · root file system
mkdir -p $root/{usr,proc,dev,tmp,etc,old}
cp --no-dereference /bin /sbin /lib* $root/
mount --bind $root $root
mount --bind -o ro /usr $root/usr

# 2. /proc, /dev
mount -t ____ none $root/proc
mount -t tmpfs none $root/dev
for name in null zero full random urandom tty; do
  touch $root/dev/$name
  mount --bind /dev/$name $root/dev/$name
done

# 3. Cambiar de raíz y soltar la vieja · change the root, and let go of the old one
cd $root
____ . old
cd /
umount --lazy /old
rmdir /old

# 4. El proceso · the process
hostname $NAME
exec sleep $SECS
