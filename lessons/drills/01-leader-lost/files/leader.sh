# The name of the member that leads.
sh raft.sh | sort -n -k 3 | awk '$2 == "leader" { name = $1 } END { print name }'
