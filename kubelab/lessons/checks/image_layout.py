"""`image-layout`: a directory is an OCI image layout, its blobs named rightly, that can be loaded. Pure.

Source: OCI image specification, image-layout.md, descriptor.md. What cannot be loaded is what the lab's own
loader, the one behind `kubelab image load`, refuses; its sentence is what the learner reads.
Left out: archives (docker save, a layout in a tar), several images in one layout, other digests than sha256.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from kubelab.language import Text
from kubelab.lessons.checks.check import Check, Finding, Needs, Scope, answer_to, check
from kubelab.lessons.checks.subject import typed
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question


@dataclass(frozen=True, slots=True)
class LayoutSeen:
    """`blobs`: how many are in blobs/sha256 under their right names; `misnamed`: the others. `refusal` is why
    it cannot be loaded, None if it can; then it has so many `layers` and runs `command`. `is_there`: there is
    such a directory."""

    blobs: int = 0
    misnamed: tuple[str, ...] = ()
    refusal: Text | None = None
    layers: int = 0
    command: str = ""
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class LayoutAt(Question[LayoutSeen]):
    """`path` from the root directory of a machine."""

    far: ClassVar[bool] = True  # To hash it takes its time.
    machine: str
    path: str


@check
class ImageLayoutCheck(Check):
    """A directory is an OCI image layout: in blobs/sha256, every file has its sha256 as its name; and, unless
    only `blobs` is asked for, the lab's own loader accepts it, with all that is written here."""

    image_layout: Annotated[str, "The directory, as a path on the machine."]
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    blobs: Annotated[Comparison | None, "How many blobs there are under their right names."] = None
    layers: Annotated[Comparison | None, "How many layers the image has."] = None
    command: Annotated[str | None, "What it runs: Entrypoint and Cmd, the words joined by spaces."] = None

    example = "{image-layout: /srv/image, layers: {eq: 2}, command: sleep infinity}"

    def needs(self) -> Needs:
        return Needs(machines=frozenset({self.machine} - {""}))

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return frozenset({self._question(scope)})

    def expected(self, scope: Scope) -> Text:
        machine = self.machine or scope.machine
        wishes = list(self._wishes(LayoutSeen()))
        es, en = "; ".join(wish.es for _, wish in wishes), "; ".join(wish.en for _, wish in wishes)
        return Text(
            f"en {machine}, {self.image_layout}: {es}",
            f"on {machine}, {self.image_layout}: {en}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        machine = self.machine or scope.machine
        seen = answer_to(observation, self._question(scope))
        look = typed(f"cd {self.image_layout}/blobs/sha256 && sha256sum *", machine, scope)
        if not seen.is_there:
            return self.finding(False, scope, _NO_DIRECTORY, look)
        passed = all(holds for holds, _ in self._wishes(seen))
        return self.finding(passed, scope, self._observed(seen), look)

    def _question(self, scope: Scope) -> LayoutAt:
        return LayoutAt(self.machine or scope.machine, self.image_layout)

    @property
    def _must_load(self) -> bool:
        return self.blobs is None or self.layers is not None or self.command is not None

    def _wishes(self, seen: LayoutSeen) -> Iterator[tuple[bool, Text]]:
        """Yield whether it holds, and what is asked for."""
        yield not seen.misnamed, Text("cada blob con su digest por nombre", "each blob named by its digest")
        if self.blobs is not None:
            asked = self.blobs.phrase()
            yield self.blobs.holds(seen.blobs), Text(f"blobs: {asked.es}", f"blobs: {asked.en}")
        if self._must_load:
            yield seen.refusal is None, Text("que se pueda cargar", "it can be loaded")
        if self.layers is not None:
            asked = self.layers.phrase()
            yield self.layers.holds(seen.layers), Text(f"capas: {asked.es}", f"layers: {asked.en}")
        if self.command is not None:
            wanted = Text(f"orden «{self.command}»", f"command “{self.command}”")
            yield seen.command == self.command, wanted

    def _observed(self, seen: LayoutSeen) -> Text:
        if seen.misnamed:
            name = seen.misnamed[0]
            return Text(f"el nombre de {name} no es su sha256", f"the name of {name} is not its sha256")
        if not self._must_load:
            return Text(f"blobs: {seen.blobs}", f"blobs: {seen.blobs}")
        if seen.refusal is not None:
            return seen.refusal
        return Text(
            f"se carga: capas: {seen.layers}; orden: «{seen.command}»",
            f"it loads: layers: {seen.layers}; command: “{seen.command}”",
        )


_NO_DIRECTORY = Text("no hay ningún directorio ahí", "there is no directory there")
