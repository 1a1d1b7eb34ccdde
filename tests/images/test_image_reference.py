"""The names of images, as containerd and Kubernetes read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.reference import default_policy, parse, shown

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("kubelab/web:1", "docker.io/kubelab/web:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("ghcr.io/some-one/app_1__2.x", "ghcr.io/some-one/app_1__2.x:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1.27@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
    ],
)
def test_a_reference_is_completed_as_containerd_does(written, full):
    assert str(parse(written)) == full
    assert str(parse(full)) == full


@pytest.mark.parametrize(
    "written",
    [
        "",
        ":",
        "/",
        "nginx:",
        "UPPER",
        "a//b",
        "-a",
        "a..b",
        "nginx@sha256:12",
        "nginx:a b",
        "a/../b",
        "x" * 300,
    ],
)
def test_what_is_no_reference_is_refused_in_one_sentence(written):
    with pytest.raises(ImageError) as refusal:
        parse(written)
    assert "invalid reference format" in refusal.value.sentence.es
    assert "\n" not in refusal.value.sentence.en


@pytest.mark.parametrize(
    ("written", "short"),
    [("nginx", "nginx:latest"), ("kubelab/web:1", "kubelab/web:1"), ("quay.io/a/b:c", "quay.io/a/b:c")],
)
def test_people_see_the_familiar_name(written, short):
    assert parse(written).familiar == short


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("localhost:5000/nginx", "Always"),
        ("nginx:1", "IfNotPresent"),
        (f"nginx@{DIGEST}", "IfNotPresent"),
        (f"nginx:latest@{DIGEST}", "Always"),
    ],
)
def test_only_latest_is_always_pulled_by_default(written, policy):
    assert default_policy(written) == policy


@given(st.text(max_size=80))
def test_any_text_is_a_reference_whose_full_form_means_the_same_or_refused(text):
    try:
        found = parse(text)
    except ImageError:
        return
    assert parse(str(found)) == found
    assert parse(found.familiar) == found


@given(st.text())
def test_somebody_elses_text_takes_one_printable_line_in_ours(text):
    assert shown(text).isprintable()
    assert len(shown(text)) <= 123
