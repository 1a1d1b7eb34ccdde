"""What the kubelet says of images, in upstream's words."""

import pytest

from kubelab.cluster.node.image_words import pulled, why_invalid
from kubelab.cluster.runtime.cri import ImageStatus


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("nginx!", "invalid reference format"),
        ("NGINX:1", "invalid reference format: repository name (library/nginx) must be lowercase"),
        ("example.com/Shop", "invalid reference format: repository name (shop) must be lowercase"),
    ],
)
def test_a_name_that_is_none_is_told_with_what_is_wrong(image: str, why: str) -> None:
    said = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'
    assert why_invalid(image) == said


def test_a_good_name_is_not_complained_of() -> None:
    assert why_invalid("kubelab/web:1") == ""


@pytest.mark.parametrize(
    ("took_s", "shown"),
    [(0, "0s"), (0.0129, "12ms"), (1.5, "1.5s"), (5.4194, "5.419s"), (60, "1m0s"), (83.25, "1m23.25s")],
)
def test_a_pull_is_told_with_its_time_as_go_writes_it_and_its_size(took_s: float, shown: str) -> None:
    said = f'Successfully pulled image "web" in {shown} ({shown} including waiting). Image size: 7 bytes.'
    assert pulled("web", took_s, ImageStatus("id", size_bytes=7)) == said
