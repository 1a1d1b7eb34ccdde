#!/bin/bash
# A server at 203.0.113.80, which the machine reaches by the link `outside`; it knows of no network but its own.
set -e
pgrep -f outside.py > /dev/null && exit
unshare --net ./outside.py &> /dev/null &
until pid=$(pgrep -f outside.py) && [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link add outside type veth peer name eth0 netns "$pid"
ip address add 203.0.113.1/24 dev outside
ip link set outside up
nsenter --target "$pid" --net ip address add 203.0.113.80/24 dev eth0
nsenter --target "$pid" --net ip link set eth0 up
