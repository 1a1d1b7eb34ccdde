"""One task per pod: asks `lifecycle.decide`, does it, notes what came out, writes the status, asks again.

Source: kubernetes, pkg/kubelet/pod_workers.go and pkg/kubelet/kuberuntime/kuberuntime_manager.go; the events'
words are those of pkg/kubelet/images/image_manager.go and pkg/kubelet/kuberuntime/kuberuntime_container.go.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.events import EventRecorder, EventType
from kubelab.cluster.clock import Clock, rfc3339
from kubelab.cluster.errors import ApiError, KernelError, LabError
from kubelab.cluster.linux.background import background
from kubelab.cluster.node import image_words
from kubelab.cluster.node import record as records
from kubelab.cluster.node.account_tokens import AccountTokens
from kubelab.cluster.node.admission import Refusal, refused_status
from kubelab.cluster.node.cgroups import container_limits, oom_score_adj
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.english import english
from kubelab.cluster.node.environment import (
    ConfigError,
    Place,
    Sources,
    all_containers,
    args_of,
    command_of,
    environment_of,
    named_by_environment,
    named_by_volumes,
)
from kubelab.cluster.node.exits import Exits
from kubelab.cluster.node.lifecycle import (
    RETRY_S,
    Action,
    DeletePod,
    PullImage,
    RemoveSandbox,
    RunSandbox,
    StartContainer,
    StopContainers,
    decide,
    full_name,
)
from kubelab.cluster.node.lifecycle_hooks import HookError, HookPlace, run_hook
from kubelab.cluster.node.object_cache import ObjectCache
from kubelab.cluster.node.pod_sandbox import sandbox_spec
from kubelab.cluster.node.record import ContainerRecord, PodRecord, Running, Waiting
from kubelab.cluster.node.security import check_non_root, security_of
from kubelab.cluster.node.status import pod_status
from kubelab.cluster.node.status_writer import StatusWriter
from kubelab.cluster.node.termination import end_of_log, falls_back_to_log
from kubelab.cluster.node.volumes import has_files_of_objects, mounts_of, volumes_of
from kubelab.cluster.objects import (
    CONFIGMAPS,
    PODS,
    SECRETS,
    Object,
    Resource,
    is_deleting,
    key_of,
    uid_of,
)
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    ContainerSpec,
    ImageError,
    Runtime,
    Sandbox,
    StartError,
    Volume,
)
from kubelab.cluster.streams.until import done_before

DELETE_RETRY_S = 1.0
GRACE_AFTER_HOOK_S = 2.0  # As upstream's minimum.
VOLUMES_PERIOD_S = 10.0  # Upstream's syncFrequency is a minute.


@dataclass(frozen=True, slots=True)
class Host:
    """What the pods of one kubelet share."""

    config: KubeletConfig
    api: Api
    runtime: Runtime
    clock: Clock
    events: EventRecorder
    exits: Exits
    objects: ObjectCache


class PodWorker:
    """`run` ends when the pod is gone from this node and from the API. One that is *refused* is never
    made."""

    def __init__(self, host: Host, pod: Object, refused: Refusal | None = None) -> None:
        self._host = host
        self._pod = pod
        self._refused = refused
        self._gone = False
        self._record = records.new_record(pod, host.clock.now())
        # What an earlier run of this kubelet left is taken away before anything else.
        self._leftover = "startTime" in pod.get("status", {}) and not _is_over(pod)
        self._is_removing = False
        self._volumes: tuple[Volume, ...] = ()
        self._tokens = AccountTokens(host.api, host.clock)
        self._writer = StatusWriter(host.api, host.clock, pod)
        self._wake = asyncio.Event()
        self._arrived: list[ContainerExit] = []
        self._exit_arrived = asyncio.Event()
        self._watchers: set[asyncio.Event] = set()

    @property
    def pod(self) -> Object:
        return self._pod

    @property
    def record(self) -> PodRecord:
        return self._record

    @property
    def holds_resources(self) -> bool:
        """Does what the pod requests count for its node?"""
        status = self._writer.last or self._pod.get("status", {})
        return not self._gone and status.get("phase") not in ("Succeeded", "Failed")

    def update(self, pod: Object) -> None:
        """Take over the API's newer version of the pod."""
        self._pod = pod
        self._record = records.pod_updated(self._record, pod)
        self._writer.compare(pod)
        self._wake.set()

    def gone(self) -> None:
        """The pod was removed from the API: take everything down without grace."""
        self._gone = True
        metadata = self._pod["metadata"]
        now = {"deletionTimestamp": metadata.get("deletionTimestamp", ""), "deletionGracePeriodSeconds": 0}
        self._pod = self._pod | {"metadata": metadata | now}
        self._wake.set()

    def exited(self, exit_: ContainerExit) -> None:
        self._arrived.append(exit_)
        self._exit_arrived.set()
        self._wake.set()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set whenever a container's state changes."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def log_path(self, container: str, restart_count: int) -> Path:
        namespace, name = key_of(self._pod)
        directory = self._host.config.log_directory / f"{namespace}_{name}_{uid_of(self._pod)}"
        return directory / container / f"{restart_count}.log"

    async def run(self) -> None:
        if self._refused:
            await self._stay_refused(self._refused)
            return
        async with background(self._writer.run()), background(self._keep_volumes_up_to_date()):
            while True:
                self._wake.clear()
                self._take_exits()
                decision = decide(self._pod, self._record, self._host.clock.now())
                self._set(decision.record)
                action = RemoveSandbox() if self._leftover else decision.action
                if isinstance(action, DeletePod):
                    break
                if action is None:
                    await self._sleep(decision.wait_s)
                else:
                    await self._try(action)
        await self._delete()

    async def _stay_refused(self, refused: Refusal) -> None:
        if not _is_over(self._pod):
            self._warn(refused.reason, refused.message)
            now = rfc3339(self._host.clock.now())
            self._writer.put(refused_status(self._pod, refused, now))
        async with background(self._writer.run()):
            while not (self._gone or is_deleting(self._pod)):
                self._wake.clear()
                await self._wake.wait()
        await self._delete()

    def _set(self, record: PodRecord) -> None:
        """Take *record* as what is now, and tell: the status, its followers, people."""
        before, self._record = self._record, record
        for name, container in record.containers.items():
            self._tell_of_back_off(name, before.containers[name], container)
        now = self._host.clock.now()
        address = self._host.config.address
        self._writer.put(pod_status(self._pod, record, address, now, self._writer.last))
        if record is not before:
            for changed in self._watchers:
                changed.set()

    def _take_exits(self) -> None:
        arrived, self._arrived = self._arrived, []
        for exit_ in arrived:
            self._set(records.container_exited(self._record, self._with_message(exit_)))

    def _with_message(self, exit_: ContainerExit) -> ContainerExit:
        """Take the end of the log for the message where the container asks for that."""
        name = next((name for name, state in self._record.running().items() if state.id == exit_.id), "")
        if not name or not falls_back_to_log(_container(self._pod, name), exit_.exit_code, exit_.message):
            return exit_
        path = self.log_path(name, self._record.containers[name].restart_count)
        return replace(exit_, message=end_of_log(path))

    async def _sleep(self, wait_s: float | None) -> None:
        if wait_s is None:
            await self._wake.wait()
        else:
            await self._first(self._host.clock.sleep(wait_s), self._wake.wait())

    async def _try(self, action: Action) -> None:
        try:
            await self._carry_out(action)
        except LabError as failure:  # The kernel refused: say so, and try again a little later.
            self._warn("FailedSync", f"Error syncing pod, retrying: {english(failure)}")
            await self._sleep(RETRY_S)

    async def _carry_out(self, action: Action) -> None:
        """Do it, unless a deletion overtakes it: a pull is given up, a shorter grace period counts."""
        match action:
            case PullImage(name):
                await self._unless(lambda: is_deleting(self._pod), self._pull(name))
            case StopContainers(grace_s):
                await self._unless(lambda: self._grace_s() < grace_s, self._stop(grace_s))
            case RunSandbox():
                await self._run_sandbox()
            case StartContainer(name):
                await self._start(name)
            case RemoveSandbox():
                self._is_removing = True
                await self._host.runtime.remove_sandbox(uid_of(self._pod))
                self._leftover = False
                self._set(records.sandbox_removed(self._record, self._host.clock.now()))

    def _grace_s(self) -> float:
        return float(self._pod["metadata"].get("deletionGracePeriodSeconds", 0))

    async def _unless(self, overtaken: Callable[[], bool], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and not overtaken():
                self._wake.clear()
                await self._first(asyncio.wait({task}), self._wake.wait())
        finally:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _first(self, *waits: Coroutine[Any, Any, object]) -> None:
        """Return when one of *waits* is over."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _run_sandbox(self) -> None:
        self._is_removing = False
        try:
            await self._set_up_volumes()
        except (LabError, ConnectionError) as failure:
            self._warn("FailedMount", english(failure))
            self._set(records.sandbox_failed(self._record, "", self._host.clock.now()))
            return
        try:
            sandbox = await self._host.runtime.run_sandbox(sandbox_spec(self._pod, self._host.config))
        except LabError as failure:
            message = f"Failed to create pod sandbox: {english(failure)}"
            self._warn("FailedCreatePodSandBox", message)
            self._set(records.sandbox_failed(self._record, message, self._host.clock.now()))
            return
        self._set(records.sandbox_ran(self._record, sandbox))

    async def _pull(self, name: str) -> None:
        spec = _container(self._pod, name)
        image: str = spec["image"]
        policy = spec.get("imagePullPolicy", "IfNotPresent")
        if why := image_words.why_invalid(image):
            self._refuse_image(name, "InvalidImageName", why, "InspectFailed")
            return
        is_there = await self._host.runtime.image_status(image) is not None
        if policy == "Never" and not is_there:
            self._refuse_image(name, "ErrImageNeverPull", image_words.absent(image), "ErrImageNeverPull")
            return
        if is_there and policy != "Always":
            self._tell("Pulled", image_words.present(image), name)
        elif not await self._pull_from_registry(name, image):
            return
        self._set(records.image_pulled(self._record, name))

    async def _pull_from_registry(self, name: str, image: str) -> bool:
        self._tell("Pulling", f'Pulling image "{image}"', name)
        started_s = self._host.clock.monotonic_s()
        try:
            await self._host.runtime.pull_image(image)
        except ImageError as failure:
            self._refuse_pull(name, image, failure)
            return False
        took_s = self._host.clock.monotonic_s() - started_s
        status = await self._host.runtime.image_status(image)
        self._tell("Pulled", image_words.pulled(image, took_s, status), name)
        return True

    def _refuse_pull(self, name: str, image: str, failure: ImageError) -> None:
        why = english(failure)
        self._refuse_image(name, "ErrImagePull", why, "Failed", f'Failed to pull image "{image}": {why}')

    def _refuse_image(self, name: str, reason: str, why: str, event: str, told: str = "") -> None:
        self._warn(event, told or why, name)
        self._warn("Failed", f"Error: {reason}", name)
        now = self._host.clock.now()
        self._set(records.image_refused(self._record, name, reason, why, now))

    async def _start(self, name: str) -> None:
        sandbox = self._record.sandbox
        if sandbox is None:
            return
        try:
            spec = await self._container_spec(name, sandbox)
        except (ConfigError, ApiError, ConnectionError) as failure:
            self._warn("Failed", f"Error: {english(failure)}", name)
            now = self._host.clock.now()
            self._set(records.config_refused(self._record, name, english(failure), now))
            return
        await self._start_with(name, spec, sandbox)

    async def _start_with(self, name: str, spec: ContainerSpec, sandbox: Sandbox) -> None:
        try:
            started = await self._host.runtime.start_container(sandbox.uid, spec)
        except ImageError as failure:
            self._refuse_pull(name, spec.image, failure)
        except (StartError, KernelError) as failure:
            self._warn("Failed", f"Error: {english(failure)}", name)
            now = self._host.clock.now()
            self._set(records.container_not_started(self._record, name, english(failure), now))
        else:
            self._tell("Created", "Container created", name)
            self._tell("Started", "Container started", name)
            await self._after_start(name, started, sandbox)
            self._set(records.container_started(self._record, name, started))
            self._host.exits.follow(started.id, self)

    async def _after_start(self, name: str, started: Container, sandbox: Sandbox) -> None:
        """Carry out the hook before the container counts as running; without its success it is ended."""
        container = _container(self._pod, name)
        hook = (container.get("lifecycle") or {}).get("postStart")
        if not hook:
            return
        place = HookPlace(started.id, sandbox.pid, sandbox.address)
        run = run_hook(self._host.runtime, self._host.clock, container, hook, place)
        try:
            await self._unless(lambda: is_deleting(self._pod), run)
        except HookError:
            self._warn("FailedPostStartHook", "PostStartHook failed", name)
            self._tell("Killing", "FailedPostStartHook", name)
            grace_s = float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))
            await self._host.runtime.stop_container(started.id, grace_s)

    async def _container_spec(self, name: str, sandbox: Sandbox) -> ContainerSpec:
        container = _container(self._pod, name)
        config = self._host.config
        if status := await self._host.runtime.image_status(container["image"]):
            check_non_root(self._pod, container, status.user)
        sources = await self._sources(named_by_environment(self._pod))
        env = environment_of(self._pod, container, sources, self._place(sandbox.address))
        count = records.next_restart_count(self._record.containers[name])
        return ContainerSpec(
            name=name,
            image=container["image"],
            command=command_of(container, env),
            args=args_of(container, env),
            env=env,
            log_path=self.log_path(name, count),
            cwd=container.get("workingDir", ""),
            limits=container_limits(container),
            mounts=mounts_of(self._pod, container, env),
            security=security_of(self._pod, container),
            oom_score_adj=oom_score_adj(self._pod, container, config.memory_bytes),
            stdin=bool(container.get("stdin")),
            stdin_once=bool(container.get("stdinOnce")),
            tty=bool(container.get("tty")),
            stop_signal=(container.get("lifecycle") or {}).get("stopSignal", ""),
            processes_of=self._target_of(container),
            message_path=container.get("terminationMessagePath", ""),
        )

    def _target_of(self, container: Object) -> str:
        """Return the id of the running container whose processes an ephemeral one asks to see."""
        target = container.get("targetContainerName")
        if not target:
            return ""
        running = self._record.running().get(target)
        if running is None:
            raise ConfigError(f"unable to find target container {target}")
        return running.id

    def _place(self, pod_address: IPv4Address | None = None) -> Place:
        config = self._host.config
        return Place(config.node_name, config.address, pod_address, config.cpus, config.memory_bytes)

    async def _set_up_volumes(self) -> None:
        """Raises LabError, ConnectionError: a volume cannot be had."""
        self._volumes = await self._volumes_now()
        if self._volumes and not self._is_removing:
            group = (self._pod["spec"].get("securityContext") or {}).get("fsGroup")
            await self._host.runtime.set_up_volumes(uid_of(self._pod), self._volumes, group)

    async def _volumes_now(self, max_age_s: float = 0.0) -> tuple[Volume, ...]:
        """Return the volumes with what is to be in them, as it was *max_age_s* ago at the most."""
        named = named_by_volumes(self._pod)
        sources = await self._sources(named, max_age_s)
        with_tokens = replace(sources, tokens=await self._tokens.of(self._pod))
        return volumes_of(self._pod, with_tokens, self._place())

    async def _keep_volumes_up_to_date(self) -> None:
        """Show in the volumes what their objects say now; upstream does so at each sync of the pod."""
        while has_files_of_objects(self._pod):
            await self._host.clock.sleep(VOLUMES_PERIOD_S)
            if self._record.sandbox and not is_deleting(self._pod):
                with suppress(LabError, ConnectionError):  # What is there stays; the next time may do better.
                    if await self._volumes_now(VOLUMES_PERIOD_S / 2) != self._volumes:
                        await self._set_up_volumes()

    async def _sources(self, named: tuple[set[str], set[str]], max_age_s: float = 0.0) -> Sources:
        configmaps, secrets = named
        return Sources(
            await self._objects(CONFIGMAPS, configmaps, max_age_s),
            await self._objects(SECRETS, secrets, max_age_s),
        )

    async def _objects(
        self, resource: Resource, names: set[str], max_age_s: float
    ) -> dict[str, Object | None]:
        get, namespace = self._host.objects.get, key_of(self._pod).namespace
        return {name: await get(resource, namespace, name, max_age_s=max_age_s) for name in sorted(names)}

    async def _stop(self, grace_s: float) -> None:
        running = self._record.running()
        for name in running:
            self._tell("Killing", f"Stopping container {name}", name)
        await asyncio.gather(*(self._stop_container(name, state, grace_s) for name, state in running.items()))
        # The exits were reported before the calls returned; wait until they have come this way.
        self._take_exits()
        while running.keys() & self._record.running().keys():
            self._exit_arrived.clear()
            await self._exit_arrived.wait()
            self._take_exits()

    async def _stop_container(self, name: str, state: Running, grace_s: float) -> None:
        """The hook's time is part of the grace period, but for a last moment to end in."""
        hook = (_container(self._pod, name).get("lifecycle") or {}).get("preStop")
        if hook and grace_s > 0:
            began_s = self._host.clock.monotonic_s()
            await self._before_stop(name, state, hook, grace_s)
            grace_s -= self._host.clock.monotonic_s() - began_s
            grace_s = max(grace_s, GRACE_AFTER_HOOK_S)
        await self._host.runtime.stop_container(state.id, grace_s)

    async def _before_stop(self, name: str, state: Running, hook: Object, grace_s: float) -> None:
        sandbox = self._record.sandbox
        if sandbox is None:
            return
        place = HookPlace(state.id, sandbox.pid, sandbox.address)
        container = _container(self._pod, name)
        run = run_hook(self._host.runtime, self._host.clock, container, hook, place)
        try:
            await done_before(self._host.clock.sleep(grace_s), run)
        except HookError:
            self._warn("FailedPreStopHook", "PreStopHook failed", name)

    async def _delete(self) -> None:
        """Write the last status, then remove the API object; both until it has worked."""
        while not self._gone:
            try:
                await self._writer.flush()
                await self._host.api.delete(PODS, *key_of(self._pod), grace_period_s=0, uid=uid_of(self._pod))
            except ConnectionError:
                await self._host.clock.sleep(DELETE_RETRY_S)
            except ApiError as refusal:
                if refusal.is_not_found or refusal.is_conflict:
                    return
                await self._host.clock.sleep(DELETE_RETRY_S)
            else:
                return

    def _tell_of_back_off(self, name: str, before: ContainerRecord, after: ContainerRecord) -> None:
        state = after.state
        if not isinstance(state, Waiting) or state == before.state:
            return
        if state.reason == "CrashLoopBackOff":
            message = f"Back-off restarting failed container {name} in pod {full_name(self._pod)}"
            self._warn("BackOff", message, name)
        elif state.reason == "ImagePullBackOff":
            image = _container(self._pod, name)["image"]
            self._tell("BackOff", f'Back-off pulling image "{image}"', name)
            self._warn("Failed", "Error: ImagePullBackOff", name)

    def _tell(self, reason: str, message: str, container: str = "") -> None:
        self._event("Normal", reason, message, container)

    def _warn(self, reason: str, message: str, container: str = "") -> None:
        self._event("Warning", reason, message, container)

    def _event(self, type_: EventType, reason: str, message: str, container: str) -> None:
        path = f"spec.{_field_of(self._pod, container)}{{{container}}}" if container else ""
        self._host.events.record(PODS, self._pod, type_, reason, message, field_path=path)


def _container(pod: Object, name: str) -> Object:
    return next(container for container in all_containers(pod) if container["name"] == name)


def _field_of(pod: Object, name: str) -> str:
    """Return the field of the pod's spec that has the container."""
    kinds = ("initContainers", "ephemeralContainers")
    return next(
        (kind for kind in kinds if any(each["name"] == name for each in pod["spec"].get(kind) or ())),
        "containers",
    )


def _is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
