# Bring about what is left when master-1 led, was cut off, and was written to
# on its own; its old value is $2, and the majority has $3, told to $1.
sh lead.sh master-1 && etcdctl put /curso/$NAME "$2" > /dev/null || exit 1
kubelab fault cut master-1 > /dev/null
etcdctl --command-timeout=1s put /curso/$NAME-solo "$3" > /dev/null 2>&1
for attempt in $(seq 20); do
  kubelab shell "$1" etcdctl --command-timeout=1s put /curso/$NAME "$3" \
    > /dev/null 2>&1 && exit
done
echo "the majority does not answer" >&2
exit 1
