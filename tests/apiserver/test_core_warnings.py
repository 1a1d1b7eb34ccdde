"""What upstream warns of, though it takes it.

Source: kubernetes, pkg/api/pod/warnings_test.go.
"""

from typing import Any

import pytest
from api_manifests import pod

from kubelab.cluster.apiserver import pod_warnings

C = "spec.containers[0]"


def shell(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "shell", "image": "i"} | fields]}


@pytest.mark.parametrize(
    ("spec", "warning"),
    [
        (
            {"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
            (
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; "
                'use "kubernetes.io/os" instead'
            ),
        ),
        (
            {"terminationGracePeriodSeconds": -1},
            (
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be "
                "treated as 1"
            ),
        ),
        ({"imagePullSecrets": [{}]}, 'spec.imagePullSecrets[0]: invalid empty name ""'),
        (
            shell(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            f'{C}.env[1]: hides previous definition of "A", which may be dropped when using apply',
        ),
        (
            shell(ports=2 * [{"containerPort": 80}]),
            f"{C}.ports[1]: duplicate port definition with {C}.ports[0]",
        ),
        (
            shell(resources={"requests": {"memory": "500m"}}),
            f'{C}.resources.requests[memory]: fractional byte value "500m" is invalid, must be an integer',
        ),
    ],
)
def test_what_is_hardly_meant_is_warned_of(spec: dict[str, Any], warning: str) -> None:
    assert list(pod_warnings.of_pod(pod(**spec))) == [warning]


def test_a_name_that_is_no_host_name_is_warned_of() -> None:
    (warning,) = pod_warnings.of_pod(pod("a.b"))
    assert warning.endswith("a DNS label is recommended: [must not contain dots]")
