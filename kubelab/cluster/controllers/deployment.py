"""The Deployment controller: a ReplicaSet for each version of the template, and replicas moved between them.

`rollout` decides the steps, `proportional_scaling` those of another size, `deployment_status` what to say of
them; here they are carried out.

Source: kubernetes, pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go.
Left out: the change-cause annotation's history beyond copying annotations; rollbackTo (kubectl does it by
itself).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source, controller_key, own_key
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.deployment_status import (
    created_condition,
    deadline_s,
    found_condition,
    is_complete,
    next_deadline_s,
    status_of,
    with_new_condition,
)
from kubelab.cluster.controllers.ownership import (
    CONTROLLER_INDEX,
    adoption_patch,
    candidates,
    claim,
    owner_reference,
    release_patch,
)
from kubelab.cluster.controllers.proportional_scaling import (
    DESIRED,
    MAX,
    is_resized,
    resizing_steps,
    size_annotations,
)
from kubelab.cluster.controllers.replicas import wanted_replicas
from kubelab.cluster.controllers.rollout import (
    REVISION,
    Scale,
    is_recreate,
    new_replicas,
    recreate_steps,
    revision_of,
    rolling_steps,
    surplus_history,
)
from kubelab.cluster.controllers.template_hash import LABEL, same_template, template_hash, with_hash
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    DEPLOYMENTS,
    REPLICASETS,
    Key,
    Object,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    uid_of,
)
from kubelab.cluster.pods import condition_of, is_finished
from kubelab.cluster.selectors import label_selector

WORKERS = 5
# Source: deployment_util.go (annotationsToSkip).
NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MAX}


@dataclass(frozen=True, slots=True)
class Sets:
    """The Deployment's ReplicaSets: the one of its template, if there is one, and the others."""

    newest: Object | None
    old: tuple[Object, ...]

    @property
    def everything(self) -> tuple[Object, ...]:
        return (self.newest, *self.old) if self.newest else self.old


def sort_out(deployment: Object, owned: Sequence[Object]) -> Sets:
    """Of several with the Deployment's template, the oldest is its newest ReplicaSet."""
    template = deployment["spec"]["template"]
    by_age = sorted(owned, key=lambda each: (each["metadata"].get("creationTimestamp", ""), key_of(each)))
    newest = next((each for each in by_age if same_template(each["spec"]["template"], template)), None)
    return Sets(newest, tuple(each for each in by_age if each is not newest))


def new_replica_set(deployment: Object, old: Sequence[Object]) -> Object:
    """Return the ReplicaSet to create for the Deployment's template."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    hash_ = template_hash(spec["template"], deployment.get("status", {}).get("collisionCount"))
    template = with_hash(spec["template"], hash_)
    match_labels = (spec["selector"].get("matchLabels") or {}) | {LABEL: hash_}
    return {
        "apiVersion": REPLICASETS.api_version,
        "kind": REPLICASETS.kind,
        "metadata": {
            "name": f"{metadata['name']}-{hash_}",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": set_annotations(deployment, next_revision(old)) | size_annotations(deployment),
            "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": new_replicas(deployment, old),
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": spec["selector"] | {"matchLabels": match_labels},
            "template": template,
        },
    }


def next_revision(old: Sequence[Object]) -> int:
    return max((revision_of(each) for each in old), default=0) + 1


def set_annotations(deployment: Object, revision: int) -> dict[str, str]:
    """Return the annotations that a Deployment gives to its newest ReplicaSet, but for those of its size."""
    annotations: dict[str, str] = deployment["metadata"].get("annotations") or {}
    copied = {name: value for name, value in annotations.items() if name not in NOT_COPIED}
    return copied | {REVISION: str(revision)}


class DeploymentController:
    def __init__(
        self,
        api: Api,
        clock: Clock,
        deployments: Informer,
        replica_sets: Informer,
        pods: Informer,
        events: EventRecorder,
    ) -> None:
        self._api = api
        self._clock = clock
        self._deployments = deployments
        self._sets = replica_sets
        self._pods = pods
        self._events = events

    async def run(self) -> None:
        sources = [
            Source(self._deployments, own_key),
            Source(self._sets, self._keys_of_set),
            Source(self._pods, self._keys_of_pod),
        ]
        await Controller("deployment", self.reconcile, sources, clock=self._clock, workers=WORKERS).run()

    async def reconcile(self, key: Key) -> float | None:
        """Take the Deployment at *key* one step further; what that brings about calls for the next one.

        Raises:
            ApiError: a write was refused, often because the cache was behind; *key* comes back.
        """
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        sets = sort_out(deployment, await self._claim(deployment))
        if not is_deleting(deployment):
            deployment, sets = await self._advance(deployment, sets)
        return await self._write_status(deployment, sets)

    async def _advance(self, deployment: Object, sets: Sets) -> tuple[Object, Sets]:
        is_paused = bool(deployment["spec"].get("paused"))
        if is_paused or is_resized(deployment, sets.everything):
            steps = resizing_steps(deployment, sets.newest, sets.old)
            if is_paused or steps:
                return deployment, await self._scale(deployment, sets, steps)
        if sets.newest is None and not (is_recreate(deployment) and self._must_wait(deployment, sets)):
            deployment, newest = await self._create_set(deployment, sets.old)
            sets = Sets(newest, sets.old)
        elif sets.newest is not None:
            newest = await self._keep_in_step(deployment, sets.newest, sets.old)
            sets = Sets(newest, sets.old)
        deployment = await self._keep_revision(deployment, sets)
        sets = await self._scale(deployment, sets, self._steps(deployment, sets))
        if is_complete(deployment, deployment.get("status", {})):
            await self._clean_up(deployment, sets)
        return deployment, sets

    def _steps(self, deployment: Object, sets: Sets) -> tuple[Scale, ...]:
        if is_recreate(deployment):
            return recreate_steps(deployment, sets.newest, sets.old, old_pods=self._old_pods(sets))
        return rolling_steps(deployment, sets.newest, sets.old) if sets.newest else ()

    def _must_wait(self, deployment: Object, sets: Sets) -> bool:
        """Recreate makes the new ReplicaSet when the old pods are gone."""
        return bool(recreate_steps(deployment, None, sets.old, old_pods=False)) or self._old_pods(sets)

    def _old_pods(self, sets: Sets) -> bool:
        pods = (pod for each in sets.old for pod in self._pods.by_index(CONTROLLER_INDEX, uid_of(each)))
        return not all(is_finished(pod) for pod in pods)

    async def _claim(self, deployment: Object) -> Sequence[Object]:
        selector = label_selector(deployment["spec"]["selector"])
        sets = candidates(deployment, self._sets)
        claimed = claim(deployment, sets, lambda each: selector.matches(labels_of(each)))
        for each in claimed.adopt:
            patch = adoption_patch(DEPLOYMENTS, deployment, each)
            await self._api.patch(REPLICASETS, *key_of(each), patch)
        for each in claimed.release:
            await self._api.patch(REPLICASETS, *key_of(each), release_patch(uid_of(deployment), each))
        return claimed.owned

    async def _create_set(self, deployment: Object, old: Sequence[Object]) -> tuple[Object, Object]:
        wanted = new_replica_set(deployment, old)
        try:
            created = await self._api.create(REPLICASETS, wanted)
        except ApiError as refusal:
            if refusal.reason != "AlreadyExists":
                raise
            await self._resolve_collision(deployment, wanted)
            raise  # With the cache caught up, or another hash, the next pass gets further.
        name, replicas = key_of(created).name, wanted_replicas(created)
        if replicas:
            self._tell(deployment, f"Scaled up replica set {name} from 0 to {replicas}")
        if deadline_s(deployment) is not None:
            status = with_new_condition(deployment, created_condition(name), self._clock.now())
            deployment = await self._put_status(deployment, status)
        return deployment, created

    async def _resolve_collision(self, deployment: Object, wanted: Object) -> None:
        """The name is taken. If not by our own ReplicaSet (which the cache lacks), change the hash."""
        taken = await self._api.get(REPLICASETS, *key_of(wanted))
        owner = controller_of(taken)
        ours = owner is not None and owner["uid"] == uid_of(deployment)
        if ours and same_template(taken["spec"]["template"], deployment["spec"]["template"]):
            return
        status = deployment.get("status", {})
        await self._put_status(deployment, status | {"collisionCount": status.get("collisionCount", 0) + 1})

    async def _keep_in_step(self, deployment: Object, newest: Object, old: Sequence[Object]) -> Object:
        """Bring annotations and minReadySeconds of the newest ReplicaSet up to the Deployment's."""
        revision = max(next_revision(old), revision_of(newest))
        annotations = set_annotations(deployment, revision)
        min_ready_s = deployment["spec"].get("minReadySeconds", 0)
        known = newest["metadata"].get("annotations") or {}
        if annotations.items() <= known.items() and newest["spec"].get("minReadySeconds", 0) == min_ready_s:
            return newest
        patch = {"metadata": {"annotations": annotations}, "spec": {"minReadySeconds": min_ready_s}}
        return await self._api.patch(REPLICASETS, *key_of(newest), patch)

    async def _keep_revision(self, deployment: Object, sets: Sets) -> Object:
        """Copy the newest ReplicaSet's revision, and begin to watch the progress of one that was found."""
        if sets.newest is None:
            return deployment
        if revision_of(deployment) != revision_of(sets.newest):
            metadata = deployment["metadata"]
            revision = {REVISION: str(revision_of(sets.newest))}
            annotations = (metadata.get("annotations") or {}) | revision
            wanted = deployment | {"metadata": metadata | {"annotations": annotations}}
            deployment = await self._api.update(DEPLOYMENTS, wanted)
        if deadline_s(deployment) is not None and condition_of(deployment, "Progressing") is None:
            condition = found_condition(key_of(sets.newest).name)
            status = with_new_condition(deployment, condition, self._clock.now())
            deployment = await self._put_status(deployment, status)
        return deployment

    async def _scale(self, deployment: Object, sets: Sets, steps: Sequence[Scale]) -> Sets:
        """Carry *steps* out; the result has the sizes as they are then."""
        scaled: dict[str, Object] = {}
        known = {key_of(each).name: each for each in sets.everything}
        for step in steps:
            scaled[step.name] = await self._scale_one(deployment, known[step.name], step)
        newest = sets.newest and scaled.get(key_of(sets.newest).name, sets.newest)
        return Sets(newest, tuple(scaled.get(key_of(each).name, each) for each in sets.old))

    async def _scale_one(self, deployment: Object, replica_set: Object, step: Scale) -> Object:
        version = replica_set["metadata"]["resourceVersion"]
        metadata = {"resourceVersion": version, "annotations": size_annotations(deployment)}
        patch = {"metadata": metadata, "spec": {"replicas": step.after}}
        scaled = await self._api.patch(REPLICASETS, *key_of(replica_set), patch)
        if step.after != step.before:
            way = "up" if step.after > step.before else "down"
            self._tell(deployment, f"Scaled {way} replica set {step.name} from {step.before} to {step.after}")
        return scaled

    async def _clean_up(self, deployment: Object, sets: Sets) -> None:
        for each in surplus_history(deployment, sets.old):
            try:
                await self._api.delete(REPLICASETS, *key_of(each), uid=uid_of(each))
            except ApiError as refusal:
                if not refusal.is_not_found:
                    raise

    async def _write_status(self, deployment: Object, sets: Sets) -> float | None:
        now = self._clock.now()
        status = status_of(deployment, sets.newest, sets.old, now)
        if status != deployment.get("status", {}):
            await self._put_status(deployment, status)
        return next_deadline_s(deployment, status, now)

    async def _put_status(self, deployment: Object, status: Object) -> Object:
        return await self._api.update(DEPLOYMENTS, deployment | {"status": status}, subresource="status")

    def _keys_of_set(self, replica_set: Object) -> Iterable[Key]:
        if controller_of(replica_set) is not None:
            yield from _controller_key(replica_set)
            return
        for deployment in self._deployments.objects(key_of(replica_set).namespace):
            selector = label_selector(deployment["spec"]["selector"])
            if selector.matches(labels_of(replica_set)):
                yield key_of(deployment)

    def _keys_of_pod(self, pod: Object) -> Iterable[Key]:
        """Only a Recreate rollout waits for pods; everything else shows in the ReplicaSets' status."""
        for owner in _set_key(pod):
            replica_set = self._sets.get(owner)
            for key in _controller_key(replica_set) if replica_set else ():
                deployment = self._deployments.get(key)
                if deployment is not None and is_recreate(deployment):
                    yield key

    def _tell(self, deployment: Object, message: str) -> None:
        self._events.record(DEPLOYMENTS, deployment, "Normal", "ScalingReplicaSet", message)


_controller_key = controller_key(DEPLOYMENTS)
_set_key = controller_key(REPLICASETS)
