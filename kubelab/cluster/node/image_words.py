"""What a kubelet says of the images that it needs. Pure.

Source: kubernetes, pkg/kubelet/images/image_manager.go (EnsureImageExists), pkg/util/parsers/parsers.go
(ParseImageName); distribution/reference, normalize.go, for what is wrong with a name.
"""

from kubelab.cluster.images import reference
from kubelab.cluster.runtime.cri import ImageError, ImageStatus


def why_invalid(image: str) -> str:
    """Return what is wrong with the image's name; empty if nothing is."""
    if _is_reference(image):
        return ""
    why = "invalid reference format"
    if _is_reference(image.lower()):
        why += f": repository name ({reference.parse(image.lower()).path}) must be lowercase"
    return f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'


def present(image: str) -> str:
    return f'Container image "{image}" already present on machine and can be accessed by the pod'


def absent(image: str) -> str:
    return f'Container image "{image}" is not present with pull policy of Never'


def pulled(image: str, took_s: float, status: ImageStatus | None) -> str:
    took = _duration(took_s)
    size_bytes = status.size_bytes if status else 0
    return (
        f'Successfully pulled image "{image}" in {took} ({took} including waiting). '
        f"Image size: {size_bytes} bytes."
    )


def _duration(took_s: float) -> str:
    """Return a duration as Go writes it, cut to milliseconds (5.4s, 12ms)."""
    took_ms = int(took_s * 1000)
    if took_ms < 1000:
        return f"{took_ms}ms" if took_ms else "0s"
    minutes, rest_ms = divmod(took_ms, 60_000)
    seconds = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{seconds}" if minutes else seconds


def _is_reference(image: str) -> bool:
    try:
        reference.parse(image)
    except ImageError:
        return False
    return True
