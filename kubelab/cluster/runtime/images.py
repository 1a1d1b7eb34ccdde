"""Images: what a container's root is made of, and what runs in it if the pod does not say.

`kubelab/shell` is a read-only view of the tools of the machine that the pod is on (its /usr), under a fresh
root on a tmpfs: nothing to download, and `ps`, `ip`, `sh`, `python3` are those the learner knows. No /home,
no /root of the host's, no /etc/shadow. Left out: every other image (registries, archives, layers).
"""

from dataclasses import dataclass

from kubelab.cluster.runtime.cri import ImageError
from kubelab.language import Text

# Stays until it is told to end. A plain `sleep` as pid 1 would not notice SIGTERM: the kernel delivers to pid
# 1 of a namespace only the signals that it handles, and the pod would take its whole grace period to go.
_STAY = ("sh", "-c", "trap 'exit 0' TERM INT; sleep infinity & wait")


@dataclass(frozen=True, slots=True)
class Image:
    reference: str
    id: str
    argv: tuple[str, ...]


SHELL = Image("docker.io/kubelab/shell:latest", "kubelab/shell@builtin", _STAY)
_NAMES = {f"{host}kubelab/shell{tag}": SHELL for host in ("", "docker.io/") for tag in ("", ":latest")}


def resolve(reference: str) -> Image:
    """Return the image.

    Raises:
        ImageError: it cannot be had.
    """
    if reference not in _NAMES:
        raise ImageError(_CANNOT_BE_HAD.format(image=reference))
    return _NAMES[reference]


_CANNOT_BE_HAD = Text(
    es='failed to pull image "{image}": el laboratorio no descarga de registros; su imagen es kubelab/shell',
    en='failed to pull image "{image}": this lab pulls from no registry; its own image is kubelab/shell',
)
