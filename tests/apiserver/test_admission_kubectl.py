"""What the genuine kubectl shows of admission: refusals, warnings, and what was added."""

from served_cluster import Cluster

from kubelab.cluster.objects import RESOURCEQUOTAS, Object

RUN = ("--image=kubelab/shell", "--restart=Never")


async def count(cluster: Cluster, used: Object) -> None:
    """Set the status of the quota, as its controller does."""
    quota = await cluster.api.get(RESOURCEQUOTAS, "default", "quota")
    status = {"hard": quota["spec"]["hard"], "used": used}
    await cluster.api.update(RESOURCEQUOTAS, quota | {"status": status}, subresource="status")


async def test_a_quota_is_described_and_refuses_what_exceeds_it(cluster: Cluster) -> None:
    await cluster.ok("create", "quota", "quota", "--hard=pods=1,limits.cpu=1")
    await count(cluster, {"pods": "0", "limits.cpu": "0"})
    assert await cluster.refused("run", "web", *RUN) == (
        'Error from server (Forbidden): pods "web" is forbidden: failed quota: quota: must specify '
        "limits.cpu for: web"
    )
    limits = (
        '--overrides={"spec":{"containers":[{"name":"web","image":"i","resources":{"limits":{"cpu":"1"}}}]}}'
    )
    await cluster.ok("run", "web", *RUN, limits)
    assert await cluster.refused("run", "more", *RUN, limits) == (
        'Error from server (Forbidden): pods "more" is forbidden: exceeded quota: quota, requested: '
        "limits.cpu=1,pods=1, used: limits.cpu=1,pods=1, limited: limits.cpu=1,pods=1"
    )
    described = (await cluster.ok("describe", "quota", "quota")).splitlines()
    assert [line.split() for line in described[-2:]] == [["limits.cpu", "1", "1"], ["pods", "1", "1"]]


async def test_a_warning_of_the_standards_is_shown_and_the_pod_made(cluster: Cluster) -> None:
    await cluster.ok("label", "namespace", "default", "pod-security.kubernetes.io/warn=baseline")
    network = '--overrides={"spec":{"hostNetwork":true}}'
    output = await cluster.kubectl("run", "web", *RUN, network)
    assert (output.out, output.err.splitlines()[-1]) == (
        "pod/web created\n",
        'Warning: would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
    )
    tolerations = await cluster.ok(
        "get", "pod", "web", "-o", "jsonpath={.spec.tolerations[*].tolerationSeconds}"
    )
    assert tolerations == "300 300"
