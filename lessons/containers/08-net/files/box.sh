#!/bin/bash
# box.sh NUMBER…: for each a “container”, a process boxNUMBER in a network namespace of its own. Its eth0 has the
# address $NET.NUMBER, and the other end of the cable is portNUMBER, here.
set -e
for number; do
  pgrep -f "^box$number " > /dev/null && continue
  unshare --net bash -c "exec -a box$number sleep infinity" &> /dev/null &
  until pid=$(pgrep -f "^box$number "); do sleep 0.02; done
  ip link add "port$number" type veth peer name eth0 netns "$pid"
  ip link set "port$number" up
  nsenter --target "$pid" --net ip address add "$NET.$number/24" dev eth0
  nsenter --target "$pid" --net ip link set eth0 up
done
