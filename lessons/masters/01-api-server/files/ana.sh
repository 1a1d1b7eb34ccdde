# What Ana does meanwhile, from her own terminal.
kubectl patch configmap $NAME-menu --type=merge -p '{"data": {"second": "paella"}}'
