# Have the member on the master $1 lead.
for attempt in $(seq 50); do
  leader=$(sh leader.sh)
  [ "$leader" = "$1" ] && exit
  id=$(etcdctl member list | awk -F', ' -v name="$1" '$3 == name { print $1 }')
  [ -n "$leader" ] &&
    etcdctl --endpoints="$leader":2379 move-leader "$id" > /dev/null
  sleep 0.2
done
echo "$1 does not lead" >&2
exit 1
