"""What a controller has set going and its informer has not yet shown.

A reconcile that ran before the cache shows the pods just created would create them again. So a key is held
back until every expected creation and deletion has been seen, or five minutes have passed.

Source: kubernetes, pkg/controller/controller_utils.go (UIDTrackingControllerExpectations).
"""

from dataclasses import dataclass, field

from kubelab.cluster.objects import Key

EXPIRES_S = 300.0


@dataclass(slots=True)
class _Expected:
    at_s: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    def __init__(self) -> None:
        self._expected: dict[Key, _Expected] = {}

    def satisfied(self, key: Key, now_s: float) -> bool:
        expected = self._expected.get(key)
        if expected is None or (expected.creations <= 0 and not expected.deletions):
            return True
        return now_s - expected.at_s > EXPIRES_S

    def expect(
        self, key: Key, now_s: float, *, creations: int = 0, deletions: frozenset[str] = frozenset()
    ) -> None:
        """Say so before the requests: their events may arrive before their answers."""
        self._expected[key] = _Expected(now_s, creations, set(deletions))

    def created(self, key: Key) -> None:
        """A creation was seen, or failed and will not be."""
        if expected := self._expected.get(key):
            expected.creations -= 1

    def deleted(self, key: Key, uid: str) -> None:
        if expected := self._expected.get(key):
            expected.deletions.discard(uid)

    def forget(self, key: Key) -> None:
        self._expected.pop(key, None)
