"""`kubelab api watch`: a line a request."""

from dataclasses import replace
from datetime import UTC, datetime

from kubelab.cli.api import line
from kubelab.cluster.apiserver.request_log import RequestRecord

LISTED = RequestRecord(
    *("id", "ResponseComplete", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 0.0064, "list"),
    *("/api/v1/namespaces/shop/pods?limit=500", "", "v1", "pods", "", "shop", ""),
    *("ana", (), "", "kubectl/v1.37.1 (linux/amd64) kubernetes/abc", "127.0.0.1", 200),
)


def columns(record: RequestRecord) -> list[str]:
    """Return what follows the time of day, which is the local one."""
    return line(record).split()[1:]


def test_a_request_is_told_with_who_what_code_and_time() -> None:
    assert columns(LISTED) == ["200", "6.4", "ms", "list", "ana", "pods", "-n", "shop", "kubectl/v1.37.1"]


def test_groups_names_and_subresources_are_named_as_kubectl_names_them() -> None:
    scaled = replace(
        LISTED, verb="patch", group="apps", resource="deployments", name="web", subresource="scale"
    )
    assert columns(scaled)[4:] == ["ana", "deployments.apps/web/scale", "-n", "shop", "kubectl/v1.37.1"]


def test_what_names_no_resource_is_told_by_its_path() -> None:
    assert columns(replace(LISTED, resource="", uri="/openapi/v3?timeout=5s"))[5] == "/openapi/v3"


def test_a_watch_that_began_has_taken_no_time_yet() -> None:
    assert columns(replace(LISTED, verb="watch", stage="ResponseStarted"))[:3] == ["200", "…", "watch"]


def test_who_acts_for_somebody_else_is_told_beside_them() -> None:
    assert "eva (ana)" in line(replace(LISTED, impersonated="eva"))
