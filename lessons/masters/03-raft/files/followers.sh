# The names of the members that follow.
sh raft.sh | awk '$2 == "follower" { print $1 }'
