# What happened tonight: to $1 and to $2. (To look in here is not what the drill is about.)
for master in "$1" "$2"; do
  said=$(etcdctl --endpoints=$master:2379 --command-timeout=1s endpoint status 2> /dev/null)
  [ -n "$said" ] && whole=yes
done
[ -z "$whole" ] && exit
sh ready.sh && sh lead.sh "$1" && etcdctl put /curso/$NAME "$3" > /dev/null || exit 1
kubelab fault cut "$1" > /dev/null && kubelab fault kill "$2" etcd > /dev/null
