"""A store that begins anew with what another one has, at a later revision. Pure.

Whoever has seen revisions after a snapshot must not take what is written after its restoration for something
it has seen: so the store's revision is raised beyond all of those, and everything before it counts as
compacted. Watches and lists that go on from what was seen before are told so, and begin anew.
Source: etcd, etcdutl/snapshot/v3_snapshot.go (modifyLatestRevision: the key that was written last is written
again, --bump-revision; what was before is compacted, --mark-compacted).
"""

from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.mvcc_image import VERSION, Header
from kubelab.cluster.store.requests import Range

ALL = Range(b"\0", b"\0")


def bumped(mvcc: Mvcc, revision: int) -> Mvcc:
    """Return a store with the keys and leases of *mvcc* whose only revision is *revision*, a later one."""
    kvs = mvcc.range(ALL).kvs
    last = max(kvs, key=lambda kv: kv.mod_revision, default=None)
    raised = Mvcc(quota_bytes=mvcc.quota_bytes)
    raised.restore_header(Header(VERSION, revision, revision, revision, mvcc.applied_index, (), ()))
    raised.restore_leases((lease.id, lease.ttl_s) for lease in mvcc.leases.values())
    raised.restore_before(kvs)
    raised.restore_revisions([(last,) if last else ()])
    raised.restore_end()
    return raised
