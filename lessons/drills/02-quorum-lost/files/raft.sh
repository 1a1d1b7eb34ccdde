# What each member of the store says of itself, now.
ask() {
  said=$(etcdctl --endpoints="$1":2379 --command-timeout=1s \
    endpoint status 2> /dev/null)
  echo "${said:-silent}" | awk -F', ' -v name="$1" '
    NF < 8 { printf "%-10s%-10s%-6s%s\n", name, "-", "-", "-" }
    NF >= 8 { printf "%-10s%-10s%-6s%s\n", name,
      $5 == "true" ? "leader" : "follower", $7, $8 }'
}
printf '%-10s%-10s%-6s%s\n' MEMBER ROLE TERM INDEX
for member in master-1 master-2 master-3; do
  ask "$member" &
done | sort
