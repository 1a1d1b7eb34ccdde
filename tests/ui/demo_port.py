"""A lab made of frozen views: what the app is shown in tests, in both languages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from local_pty import PLAIN_ENVIRONMENT, LocalProcess

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.phases import Phase
from kubelab.cluster.lab.snapshot import (
    EventView,
    LabSnapshot,
    MachineView,
    NodeView,
    PodView,
    ProcessView,
)
from kubelab.cluster.machine.machine import WindowSize
from kubelab.language import Language, Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.lessons.view import (
    CheckView,
    ChoiceView,
    LessonEntry,
    LessonStatus,
    LessonView,
    Mode,
    OutcomeView,
    PredictionView,
    StepView,
    TrackEntry,
    Verdict,
)

PHASES = (
    Phase(Text("La red y la autoridad de certificación", "The network and the certificate authority"), True),
    Phase(Text("master-1: almacén, API, planificador", "master-1: store, API, scheduler"), True),
    Phase(Text("minion-1 y minion-2 se registran", "minion-1 and minion-2 register"), False),
)

CATALOG = (
    TrackEntry(
        "containers",
        Text("Contenedores a mano", "Containers by hand"),
        (
            LessonEntry(
                "containers/01-pid",
                Text("Espacio de nombres PID", "PID namespace"),
                12,
                ("namespace", "pid"),
                LessonStatus.STARTED,
                1,
                4,
                None,
            ),
            LessonEntry(
                "containers/02-memory",
                Text("Límite de memoria", "Memory limit"),
                15,
                ("cgroup",),
                LessonStatus.NEW,
                0,
                3,
                Text(
                    "Hace falta delegación de cgroups: systemd-run --user --scope -p Delegate=yes kubelab",
                    "It needs cgroup delegation: systemd-run --user --scope -p Delegate=yes kubelab",
                ),
            ),
        ),
    ),
    TrackEntry(
        "workloads",
        Text("Cargas de trabajo", "Workloads"),
        (
            LessonEntry(
                "workloads/01-pod", Text("Pod", "Pod"), 15, ("pod",), LessonStatus.PASSED, 3, 3, None
            ),
            LessonEntry(
                "workloads/02-replicas",
                Text("Réplicas", "Replicas"),
                15,
                ("replicaset",),
                LessonStatus.PASSED,
                3,
                3,
                None,
                review_in_days=0,
            ),
            LessonEntry(
                "workloads/03-service",
                Text("Servicio", "Service"),
                20,
                ("service",),
                LessonStatus.PASSED,
                4,
                4,
                None,
                review_in_days=12,
                tested_out=True,
            ),
        ),
    ),
)

POD_STEP = StepView(
    id="apply",
    title=Text("Crea un pod", "Create a pod"),
    body=Text(
        """\
Un **pod** es un grupo de contenedores que comparten red, IPC y nombre. El manifiesto `pod.yaml` pide uno:

```sh
kubectl apply -f pod.yaml
kubectl get pods -o wide
```

Mira en el estado en vivo a qué nodo llega, con qué IP y qué procesos tiene. El primero, `pause`, no hace \
nada: guarda los espacios de nombres mientras los demás van y vienen.

1. Aplica el manifiesto.
2. Espera a que el pod esté `Running`.
""",
        """\
A **pod** is a group of containers that share network, IPC and host name. The manifest `pod.yaml` asks for \
one:

```sh
kubectl apply -f pod.yaml
kubectl get pods -o wide
```

Watch in the live state which node it lands on, with which IP, and which processes it has. The first \
one, `pause`, does nothing: it keeps the namespaces while the others come and go.

1. Apply the manifest.
2. Wait until the pod is `Running`.
""",
    ),
    hints=(
        Text("Mira qué hay en el directorio: `ls`.", "See what is in the directory: `ls`."),
        Text(
            "`kubectl apply` crea lo que dice un manifiesto.", "`kubectl apply` creates what a manifest says."
        ),
        Text("`kubectl apply -f pod.yaml`", "`kubectl apply -f pod.yaml`"),
    ),
    hints_shown=0,
    passed=False,
    checks=(
        CheckView(
            Verdict.PASSED,
            Text("existe el pod default/web", "the pod default/web exists"),
            Text("existe", "it exists"),
            "kubectl get pod web",
        ),
        CheckView(
            Verdict.NOT_YET,
            Text("el pod web está Running", "the pod web is Running"),
            Text("status.phase es Pending", "status.phase is Pending"),
            "kubectl get pod web -o wide",
        ),
        CheckView(
            Verdict.CANNOT_CHECK,
            Text("su IP responde", "its IP answers"),
            Text("el pod aún no tiene IP", "the pod has no IP yet"),
            "",
        ),
    ),
    message=None,
    debrief=Text(
        "Kubernetes hace lo mismo: el kubelet pide al runtime un *sandbox* y mete en él los contenedores.",
        "Kubernetes does the same: the kubelet asks the runtime for a *sandbox* and puts containers in it.",
    ),
)
DEATH_STEP = replace(
    POD_STEP,
    id="death",
    title=Text("Muerte de un pod", "Death of a pod"),
    checks=POD_STEP.checks[:1],
    body=Text("Bórralo: `kubectl delete pod web`.", "Delete it: `kubectl delete pod web`."),
)
POD_LESSON = LessonView("workloads/01-pod", Text("Pod", "Pod"), (POD_STEP, DEATH_STEP), 0)
PASSED_STEP = replace(
    POD_STEP, passed=True, checks=tuple(replace(check, verdict=Verdict.PASSED) for check in POD_STEP.checks)
)

QUESTION = PredictionView(
    Text(
        "¿Cuántos procesos tendrá el pod, si el manifiesto pide **un** contenedor?",
        "How many processes will the pod have, if the manifest asks for **one** container?",
    ),
    (
        ChoiceView("one", Text("uno, el de `web`", "one, that of `web`")),
        ChoiceView("two", Text("dos: `pause` y el de `web`", "two: `pause` and that of `web`")),
        ChoiceView("vm", Text("muchos: un pod es una máquina virtual", "many: a pod is a virtual machine")),
    ),
)
FREE_QUESTION = PredictionView(
    Text("¿Qué número imprimirá `echo $$`?", "Which number will `echo $$` print?"), ()
)
EXPLANATION = Text(
    "`pause` guarda los espacios de nombres; por eso está en todos los pods.",
    "`pause` keeps the namespaces, which is why every pod has it.",
)
TWO = Text("2", "2")

CHANGES = (
    Change(Sign.NEW, About.OBJECT, "", Text("pod default/web", "pod default/web")),
    Change(Sign.NEW, About.PROCESS, "minion-1", Text("17 /pause", "17 /pause")),
    Change(
        Sign.NEW,
        About.PROCESS,
        "minion-1",
        Text("23 /usr/bin/python3 -m http.server", "23 /usr/bin/python3 -m http.server"),
    ),
    Change(Sign.GONE, About.MOUNT, "minion-1", Text("/mnt/old (tmpfs)", "/mnt/old (tmpfs)")),
    Change(
        Sign.OTHER,
        About.CGROUP,
        "minion-1",
        Text("memory.max de demo: max → 33554432", "memory.max of demo: max → 33554432"),
    ),
)

SNAPSHOT = LabSnapshot(
    machines=(
        MachineView("master-1", "master", "10.77.0.11", 4026532300, ()),
        MachineView(
            "minion-1",
            "minion",
            "10.77.0.21",
            4026532310,
            (
                ProcessView(41201, 1, (1,), 4026532310, "init"),
                ProcessView(41230, 41201, (17, 1), 4026532400, "/pause"),
                ProcessView(41244, 41201, (23, 7), 4026532400, "/usr/bin/python3 -m http.server"),
            ),
        ),
        MachineView("minion-2", "minion", "10.77.0.22", 4026532320, ()),
        MachineView(
            "lesson",
            "scratch",
            "10.77.0.31",
            4026532500,
            (
                ProcessView(42000, 1, (1,), 4026532500, "init"),
                ProcessView(42010, 42000, (9,), 4026532500, "bash -l"),
                ProcessView(42020, 42010, (15,), 4026532500, "unshare --pid --fork --mount-proc bash"),
                ProcessView(42021, 42020, (16, 1), 4026532601, "bash"),
                ProcessView(42030, 42021, (20, 5), 4026532601, "sleep 300"),
                ProcessView(42040, 42000, (31,), 4026532500, "sleep 1000"),
            ),
        ),
    ),
    nodes=(
        NodeView("minion-1", True, "Ready", "10.77.0.21"),
        NodeView("minion-2", False, "NotReady", "10.77.0.22"),
    ),
    pods=(
        PodView("default", "web", "Running", "1/1", 0, "minion-1", "10.244.1.5", 42.0, (41230, 41244)),
        PodView("default", "api-7d9f", "CrashLoopBackOff", "0/1", 3, "minion-1", "10.244.1.6", 40.0, ()),
        PodView("kube-system", "dns", "ContainerCreating", "0/1", 0, "minion-2", "", 1.0, ()),
        PodView("default", "big", "Pending", "0/1", 0, "", "", 9.0, ()),
    ),
    events=(
        EventView(
            "Warning", "FailedScheduling", "pod/big", "0/2 nodes are available: 2 Insufficient cpu.", 2
        ),
    ),
    revision=1234,
)


@dataclass(frozen=True, slots=True)
class DemoPlace:
    name: str
    role: str


PLACES = {
    "containers/01-pid": DemoPlace("lesson", "scratch"),
    "workloads/01-pod": DemoPlace("minion-1", "minion"),
    "workloads/02-replicas": DemoPlace("minion-1", "minion"),
}


MACHINES = {"lesson": ("lesson",), "minion-1": ("minion-1", "minion-2", "master-1")}


def _with_obstacle(steps: tuple[StepView, ...], obstacle: Text | None) -> tuple[StepView, ...]:
    return tuple(replace(step, obstacle=obstacle) for step in steps)


@dataclass
class DemoSession:
    view: LessonView
    machine: DemoPlace | None
    language: Language
    shell_argv: tuple[str, ...]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    shells: list[LocalProcess] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    different: tuple[Change, ...] = ()
    asked_what_changed: int = 0
    looks: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def changes(self) -> AsyncIterator[LessonView]:
        while True:
            self._changed.clear()
            yield self.view
            await self._changed.wait()

    def publish(self, view: LessonView) -> None:
        self.view = view
        self._changed.set()

    def publish_step(self, step: StepView) -> None:
        steps = list(self.view.steps)
        steps[self.view.index] = step
        self.publish(replace(self.view, steps=tuple(steps)))

    async def shell(self, size: WindowSize, machine: str = "") -> LocalProcess:
        self.places.append(machine)
        shell = await LocalProcess.spawn(self.shell_argv, size, PLAIN_ENVIRONMENT)
        self.shells.append(shell)
        return shell

    def shell_machines(self) -> tuple[str, ...]:
        return () if self.machine is None else MACHINES[self.machine.name]

    def predict(self, answer: str) -> None:
        if asked := self.view.step.prediction:
            self.publish_step(replace(self.view.step, prediction=replace(asked, answer=answer)))

    def answer_live(self, outcome: OutcomeView) -> None:
        asked = self.view.step.prediction
        assert asked
        self.publish_step(replace(self.view.step, prediction=replace(asked, outcome=outcome)))

    def what_changed(self) -> tuple[Change, ...]:
        self.asked_what_changed += 1
        return self.different

    async def fast_forward(self) -> None:
        """Done once it is `released`."""
        self.calls.append("fast_forward")
        self.publish(replace(self.view, busy=Text("Se escribe la solución", "Typing the solution")))
        await self.released.wait()
        self.publish(replace(self.view, busy=None))
        self.publish_step(replace(PASSED_STEP, skipped=True))

    def hint(self) -> None:
        shown = min(len(self.view.step.hints), self.view.step.hints_shown + 1)
        self.publish_step(replace(self.view.step, hints_shown=shown))

    def next(self) -> None:
        self._go(1)

    def previous(self) -> None:
        self._go(-1)

    def _go(self, by: int) -> None:
        self.publish(replace(self.view, index=max(0, min(len(self.view.steps) - 1, self.view.index + by))))

    def look_soon(self) -> None:
        self.looks += 1

    async def check_now(self) -> None:
        self.calls.append("check_now")

    async def reset(self) -> None:
        self.calls.append("reset")


class DemoPort:
    """`failure` is what the lab or a lesson fails with; `hold` keeps the lab coming up until it is set."""

    def __init__(
        self,
        *,
        shell: Sequence[str] = ("cat",),
        ready: bool = True,
        failure: LabError | None = None,
        missing: tuple[Text, ...] = (),
    ) -> None:
        self.session: DemoSession | None = None
        self.closed = False
        self.remembered: list[Language] = []
        self.lessons_left: list[str] = []
        self.opened: list[tuple[str, Mode, bool]] = []
        self.lab_is_ready = asyncio.Event()
        self._shell = tuple(shell)
        self._failure = failure
        self._missing = missing
        if ready:
            self.lab_is_ready.set()

    async def start_up(self) -> AsyncIterator[Phase]:
        for phase in PHASES:
            yield phase
        if self._failure:
            raise self._failure
        await self.lab_is_ready.wait()
        yield replace(PHASES[-1], done=True)

    def missing(self) -> tuple[Text, ...]:
        return self._missing

    def catalog(self) -> tuple[TrackEntry, ...]:
        return CATALOG

    async def snapshots(self) -> AsyncIterator[LabSnapshot]:
        await self.lab_is_ready.wait()
        yield SNAPSHOT
        await asyncio.Event().wait()

    @asynccontextmanager
    async def open_lesson(
        self, lesson_id: str, language: Language, mode: Mode = Mode.LEARN, *, again: bool = False
    ) -> AsyncIterator[DemoSession]:
        self.opened.append((lesson_id, mode, again))
        await self.lab_is_ready.wait()
        entry = next(entry for track in CATALOG for entry in track.lessons if entry.id == lesson_id)
        view = replace(
            POD_LESSON, lesson_id=lesson_id, mode=mode, steps=_with_obstacle(POD_LESSON.steps, entry.missing)
        )
        self.session = DemoSession(view, None if entry.missing else PLACES[lesson_id], language, self._shell)
        try:
            yield self.session
        finally:
            self.lessons_left.append(lesson_id)

    def remember_language(self, language: Language) -> None:
        self.remembered.append(language)

    async def close(self) -> None:
        self.closed = True
