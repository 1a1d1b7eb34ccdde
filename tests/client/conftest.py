from local_cluster import api, clock, registry

__all__ = ["api", "clock", "registry"]
