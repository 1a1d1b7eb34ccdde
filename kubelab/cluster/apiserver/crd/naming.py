"""Which names a CustomResourceDefinition gets: ones that nobody else in its group has. They establish it.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/controller/{status/naming_controller,
establish/establishing_controller}.go. Both are one step here: what is accepted is served at once.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from kubelab.cluster.apiserver.crd.definition import condition, is_true, with_condition
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import Object

_ACCEPTED = {"status": "True", "reason": "NoConflicts", "message": "no conflicts found"}
_ESTABLISHED = {
    "status": "True",
    "reason": "InitialNamesAccepted",
    "message": "the initial names have been accepted",
}
_NOT_ESTABLISHED = {"status": "False", "reason": "NotAccepted", "message": "not all names are accepted"}


def named(crd: Object, others: Iterable[Object], now: datetime) -> Object:
    """Return *crd* with the names that it gets beside *others*, and the conditions that tell so."""
    rivals = [
        each
        for each in others
        if each["spec"]["group"] == crd["spec"]["group"]
        and each["metadata"]["name"] != crd["metadata"]["name"]
    ]
    wanted, had = crd["spec"]["names"], (crd.get("status") or {}).get("acceptedNames") or {}
    conflicts: list[tuple[str, str]] = []
    accepted = dict(had)
    for name, used in (*_used_resources(rivals), *_used_kinds(rivals)):
        _accept(name, wanted, had, used, accepted, conflicts)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    else:
        accepted.pop("categories", None)
    answer = {"type": "NamesAccepted"} | _ACCEPTED
    if conflicts:
        reason, message = conflicts[-1]
        answer |= {"status": "False", "reason": reason, "message": message}
    status = (crd.get("status") or {}) | {"acceptedNames": accepted}
    return _established(with_condition(crd | {"status": status}, answer, now), now)


def _established(crd: Object, now: datetime) -> Object:
    if is_true(crd, "Established"):
        return crd
    if is_true(crd, "NamesAccepted"):
        return with_condition(crd, {"type": "Established"} | _ESTABLISHED, now)
    if condition(crd, "Established") is None:
        return with_condition(crd, {"type": "Established"} | _NOT_ESTABLISHED, now)
    return crd


def _used_resources(rivals: Iterable[Object]) -> Iterator[tuple[str, frozenset[str]]]:
    names = [(each.get("status") or {}).get("acceptedNames") or {} for each in rivals]
    used = {name for each in names for name in (each.get("plural"), each.get("singular"))}
    used |= {name for each in names for name in each.get("shortNames") or ()}
    taken = frozenset(name for name in used if name)
    return iter([("plural", taken), ("singular", taken), ("shortNames", taken)])


def _used_kinds(rivals: Iterable[Object]) -> Iterator[tuple[str, frozenset[str]]]:
    names = [(each.get("status") or {}).get("acceptedNames") or {} for each in rivals]
    taken = frozenset(name for each in names for name in (each.get("kind"), each.get("listKind")) if name)
    return iter([("kind", taken), ("listKind", taken)])


def _accept(
    name: str,
    wanted: Object,
    had: Object,
    used: frozenset[str],
    accepted: Object,
    conflicts: list[tuple[str, str]],
) -> None:
    """Note in *accepted* what is wanted as *name*, or in *conflicts* why it is not to be had."""
    if name == "shortNames":
        new = [each for each in wanted.get(name) or () if each not in (had.get(name) or ())]
        taken = [each for each in new if each in used]
    else:
        taken = [wanted[name]] if wanted[name] != had.get(name) and wanted[name] in used else []
    if taken:
        sentences = [f"{quoted(each)} is already in use" for each in taken]
        message = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
        conflicts.append((f"{name[0].upper()}{name[1:]}Conflict", message))
    elif wanted.get(name):
        accepted[name] = wanted[name]
    else:
        accepted.pop(name, None)
