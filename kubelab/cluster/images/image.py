"""What an image is, once it can be had. Pure.

Source: OCI image specification, config.md. `id` is the config's digest, as CRI and Docker have it;
`repo_digest` is what a kubelet shows as imageID: repository@digest of the manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kubelab.cluster.errors import LabError


class ImageError(LabError):
    """The image cannot be had. The kubelet reports it as ErrImagePull, then ImagePullBackOff."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What runs in a container if nobody says otherwise. `env` keeps its order; later names win."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        return self.entrypoint + self.cmd


@dataclass(frozen=True, slots=True)
class Layer:
    """`digest` and `size_bytes` are of the blob as it travels, `diff_id` of the tar archive inside."""

    digest: str
    diff_id: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class History:
    """One step of how the image was built; `layer` is None for a step that changed no files."""

    created: str
    created_by: str
    comment: str = ""
    layer: Layer | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """`layers`: the lowest first, as in the manifest. `binds`: what the root shows of its machine."""

    reference: str
    id: str
    repo_digest: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    created: str = ""
    architecture: str = ""
    is_view_of_usr: bool = False
    binds: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        return self.config.argv

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in self.layers)

    def mounts(self) -> list[dict[str, object]]:
        """Return the mounts that the image itself asks for, as config.json of the OCI runtime has them."""
        options = ["rbind", "ro"]
        return [
            {"destination": path, "type": "bind", "source": path, "options": options} for path in self.binds
        ]
