# What happened tonight. (To look in here is not what the drill is about.)
said=$(etcdctl --endpoints="$1":2379 --command-timeout=1s endpoint status 2> /dev/null)
[ -z "$said" ] && exit
sh ready.sh && sh lead.sh "$1" && etcdctl put /curso/$NAME "$2" > /dev/null || exit 1
kubelab fault kill "$1" etcd > /dev/null
