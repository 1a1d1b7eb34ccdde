"""etcd's gRPC API in front of a member of the store (`server.serve`), and its messages (`pb`)."""
