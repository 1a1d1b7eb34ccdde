"""Whose is a dependent? Adopt what the selector matches and nobody controls; release what it matches no more.

Source: kubernetes, pkg/controller/controller_ref_manager.go (ClaimObject).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubelab.cluster.client.informer import Informer
from kubelab.cluster.objects import Object, Resource, controller_of, is_deleting, key_of, uid_of

CONTROLLER_INDEX = "controller"


def controller_uid(obj: Object) -> Iterable[str]:
    """The index by which an owner's own dependents are found, and under "" those that nobody controls."""
    controller = controller_of(obj)
    return (controller["uid"] if controller else "",)


def candidates(owner: Object, dependents: Informer) -> list[Object]:
    """Return what *owner* may have to do with: what it controls, and the orphans of its namespace."""
    namespace = key_of(owner).namespace
    orphans = (each for each in dependents.by_index(CONTROLLER_INDEX, "") if key_of(each)[0] == namespace)
    return [*dependents.by_index(CONTROLLER_INDEX, uid_of(owner)), *orphans]


@dataclass(frozen=True, slots=True)
class Claim:
    """`owned` includes what is to be adopted, not what is to be released."""

    owned: tuple[Object, ...] = ()
    adopt: tuple[Object, ...] = ()
    release: tuple[Object, ...] = ()


def claim(owner: Object, dependents: Iterable[Object], matches: Callable[[Object], bool]) -> Claim:
    """Sort out the *dependents* of one namespace; an owner that is being deleted keeps, but takes nothing."""
    owned, adopt, release = [], [], []
    for dependent in dependents:
        controller = controller_of(dependent)
        if controller is not None and controller["uid"] != uid_of(owner):
            continue
        if controller is not None and matches(dependent):
            owned.append(dependent)
        elif controller is not None and not is_deleting(owner):
            release.append(dependent)
        elif (
            controller is None
            and matches(dependent)
            and not is_deleting(owner)
            and not is_deleting(dependent)
        ):
            owned.append(dependent)
            adopt.append(dependent)
    return Claim(tuple(owned), tuple(adopt), tuple(release))


def owner_reference(resource: Resource, owner: Object) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": key_of(owner).name,
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def adoption_patch(resource: Resource, owner: Object, dependent: Object) -> Object:
    """Return the merge patch that adds the owner; the uid makes it fail on another object of that name."""
    references = [*(dependent["metadata"].get("ownerReferences") or ()), owner_reference(resource, owner)]
    return _references_patch(dependent, references)


def release_patch(owner_uid: str, dependent: Object) -> Object:
    references = dependent["metadata"].get("ownerReferences") or ()
    return _references_patch(dependent, [each for each in references if each["uid"] != owner_uid])


def _references_patch(dependent: Object, references: list[Object]) -> Object:
    """The resource version guards the list: a merge patch would overwrite another writer's reference."""
    metadata = dependent["metadata"]
    version = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return {"metadata": {**version, "ownerReferences": references}}
