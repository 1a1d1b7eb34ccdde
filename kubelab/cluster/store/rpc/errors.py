"""A store's refusals as gRPC statuses: clients know them by these codes and sentences. Pure.

Source: etcd, api/v3rpc/rpctypes/error.go. Left out: what only the service Auth says.
"""

from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.service import StoreError

_SENTENCES = {
    Code.INVALID_ARGUMENT: (
        "key is not provided",
        "key not found",
        "value is provided",
        "lease is provided",
        "too many operations in txn request",
        "duplicate key given in txn request",
        "invalid sort option",
        "given member URLs are invalid",
        "request is too large",
    ),
    Code.OUT_OF_RANGE: (
        "mvcc: required revision has been compacted",
        "mvcc: required revision is a future revision",
        "too large lease TTL",
    ),
    Code.RESOURCE_EXHAUSTED: ("mvcc: database space exceeded", "too many requests"),
    Code.NOT_FOUND: ("requested lease not found", "member not found"),
    Code.FAILED_PRECONDITION: (
        "lease already exists",
        "member ID already exist",
        "Peer URLs already exists",
        "re-configuration failed due to not enough started members",
        "can only promote a learner member",
        "can only promote a learner member which is in sync with leader",
        "too many learner members in cluster",
        "not leader",
        "rpc not supported for learner",
        "bad leader transferee",
        "authentication is not enabled",
    ),
    Code.UNAVAILABLE: (
        "no leader",
        "leader changed",
        "server stopped",
        "request timed out",
        "request timed out, possibly due to previous leader failure",
        "request timed out, possibly due to connection lost",
        "request timed out, waiting for the applied index took too long",
        "unhealthy cluster",
    ),
    Code.DATA_LOSS: ("corrupt cluster",),
}
_CODES = {f"etcdserver: {words}": code for code, sentences in _SENTENCES.items() for words in sentences}


def status(error: StoreError) -> tuple[Code, str]:
    """Return what ends the call that *error* ended; a sentence that etcd does not know is UNKNOWN."""
    return _CODES.get(str(error), Code.UNKNOWN), str(error)


def refusal(words: str) -> StatusError:
    """Return etcd's refusal in these *words*."""
    sentence = f"etcdserver: {words}"
    return StatusError(_CODES[sentence], sentence)
