"""etcd's messages as Python: made from the `.proto` files beside them by `make stubs`.

Source: etcd, api/etcdserverpb, api/mvccpb, server/lease/leasepb and server/etcdserver/api/v3{lock,election}.
The generated files are kept here so that an installation needs no compiler; a test compares the two.
"""
