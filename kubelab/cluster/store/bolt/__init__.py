"""The database file of etcd: a B+ tree of pages, as bbolt keeps it. Written whole, and read."""
