"""ControllerRevisions: the templates that a StatefulSet or DaemonSet once had.

Source: kubernetes, pkg/apis/apps/validation/validation.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Cells, Column, age
from kubelab.cluster.apiserver.fields import FieldError, immutable, not_negative, required
from kubelab.cluster.objects import Object, controller_of

COLUMNS = (
    NAME,
    Column("Controller", description="Controller of the object"),
    Column("Revision", documents="k8s.io/api/apps/v1.ControllerRevision.revision"),
    AGE,
)


def cells(revision: Object, now: datetime) -> Cells:
    owner, shown = controller_of(revision), NONE
    if owner:
        group, _, _ = owner["apiVersion"].rpartition("/")
        kind = f"{owner['kind']}.{group}" if group else owner["kind"]
        shown = f"{kind.lower()}/{owner['name']}"
    return [revision["metadata"]["name"], shown, revision.get("revision", 0), age(revision, now)]


def validate(revision: Object) -> Iterator[FieldError]:
    if revision.get("data") is None:
        yield required("data", "data is mandatory")
    yield from not_negative(revision.get("revision"), "revision")


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("data") != old.get("data"):
        yield immutable("data", new.get("data"))
