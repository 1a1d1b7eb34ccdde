# The other one of master-2 and master-3.
[ "$1" = master-2 ] && echo master-3 || echo master-2
