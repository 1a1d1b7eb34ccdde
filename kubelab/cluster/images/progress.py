"""How far an image has come on its way into the store, for whoever waits and looks now and then."""

from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["waiting", "download", "unpack", "done"]


@dataclass(slots=True)
class LayerProgress:
    """`total_bytes` are those of the stage; 0 where nobody knows."""

    digest: str
    total_bytes: int
    stage: Stage = "waiting"
    done_bytes: int = 0

    def begin(self, stage: Stage, total_bytes: int) -> None:
        self.stage, self.total_bytes, self.done_bytes = stage, total_bytes, 0

    def advance(self, count_bytes: int) -> None:
        """Called from threads too: each layer has one at a time."""
        self.done_bytes += count_bytes


@dataclass(slots=True)
class Progress:
    """`read_bytes`: of an archive that is being read, before its layers are known."""

    read_bytes: int = 0
    layers: dict[str, LayerProgress] = field(default_factory=dict)

    def layer(self, digest: str, size_bytes: int) -> LayerProgress:
        return self.layers.setdefault(digest, LayerProgress(digest, size_bytes))

    def advance(self, count_bytes: int) -> None:
        self.read_bytes += count_bytes
