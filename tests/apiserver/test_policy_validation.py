"""What is refused of policies, roles, requests and leases, in upstream's words; and what the server sets."""

from typing import Any

import pytest
from creations import causes, causes_of_update, created, updated
from kind_manifests import (
    changed,
    cluster_role_binding,
    cluster_wide,
    ingress,
    named,
    network_policy,
    pem_request,
    role_binding,
    signing_request,
)

from kubelab.cluster.apiserver.caller import Caller, User
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.objects import (
    CERTIFICATESIGNINGREQUESTS,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    INGRESSCLASSES,
    INGRESSES,
    LEASES,
    NETWORKPOLICIES,
    ROLEBINDINGS,
    ROLES,
    RUNTIMECLASSES,
    Object,
    Resource,
)

RBAC = "rbac.authorization.k8s.io"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


def from_(*peers: Object) -> Object:
    return network_policy(ingress=[{"from": list(peers)}])


def to_port(**port: Any) -> Object:
    return network_policy(egress=[{"ports": [port]}])


def role(**rule: Any) -> Object:
    return named(rules=[{**PODS, **rule}])


def subject(**parts: Any) -> Object:
    return role_binding(subjects=[parts])


@pytest.mark.parametrize(
    ("resource", "obj", "field", "message"),
    [
        (NETWORKPOLICIES, from_({}), "spec.ingress[0].from[0]", "Required value: must specify a peer"),
        (
            NETWORKPOLICIES,
            from_({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            "spec.ingress[0].from[0]",
            "Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            NETWORKPOLICIES,
            from_({"ipBlock": {"cidr": "10.0.0.1/8"}}),
            "spec.ingress[0].from[0].ipBlock.cidr",
            'Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
        ),
        (
            NETWORKPOLICIES,
            from_({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}),
            "spec.ingress[0].from[0].ipBlock.except[0]",
            'Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        ),
        (
            NETWORKPOLICIES,
            to_port(port=80, endPort=79),
            "spec.egress[0].ports[0].endPort",
            "Invalid value: 80: must be greater than or equal to `port`",
        ),
        (
            NETWORKPOLICIES,
            to_port(port="http", endPort=79),
            "spec.egress[0].ports[0].endPort",
            "Invalid value: 79: may not be specified when `port` is non-numeric",
        ),
        (
            NETWORKPOLICIES,
            network_policy(policyTypes=["Sideways"]),
            "spec.policyTypes[0]",
            'Unsupported value: "Sideways": supported values: "Ingress", "Egress"',
        ),
        (
            INGRESSES,
            named(spec={}),
            "spec",
            "Invalid value: null: either `defaultBackend` or `rules` must be specified",
        ),
        (
            INGRESSES,
            changed(ingress(), "spec.rules.0.host", "10.0.0.1"),
            "spec.rules[0].host",
            'Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
        ),
        (
            INGRESSES,
            changed(ingress(), "spec.rules.0.http.paths.0.pathType", None),
            "spec.rules[0].http.paths[0].pathType",
            "Required value: pathType must be specified",
        ),
        (
            INGRESSES,
            changed(ingress(), "spec.rules.0.http.paths.0.path", "/a/../b"),
            "spec.rules[0].http.paths[0].path",
            "Invalid value: \"/a/../b\": must not contain '/../'",
        ),
        (
            INGRESSES,
            changed(ingress(), "spec.rules.0.http.paths.0.backend.service.port", {}),
            "spec.rules[0].http.paths[0].backend",
            "Required value: port name or number is required",
        ),
        (
            INGRESSCLASSES,
            cluster_wide(spec={"controller": "nginx"}),
            "spec.controller",
            'Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        (ROLES, role(verbs=[]), "rules[0].verbs", "Required value: verbs must contain at least one value"),
        (
            ROLES,
            named(rules=[{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]),
            "rules[0].nonResourceURLs",
            'Invalid value: ["/healthz"]: namespaced rules cannot apply to non-resource URLs',
        ),
        (
            ROLES,
            role(apiGroups=[]),
            "rules[0].apiGroups",
            "Required value: resource rules must supply at least one api group",
        ),
        (
            CLUSTERROLES,
            cluster_wide(aggregationRule={}),
            "aggregationRule.clusterRoleSelectors",
            "Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
        ),
        (
            CLUSTERROLES,
            cluster_wide("a/b"),
            "metadata.name",
            "Invalid value: \"a/b\": may not contain '/'",
        ),
        (
            ROLEBINDINGS,
            role_binding(roleRef={"kind": "Group", "name": "x"}),
            "roleRef.kind",
            'Unsupported value: "Group": supported values: "Role", "ClusterRole"',
        ),
        (
            CLUSTERROLEBINDINGS,
            cluster_role_binding(roleRef={"kind": "Role", "name": "x"}),
            "roleRef.kind",
            'Unsupported value: "Role": supported values: "ClusterRole"',
        ),
        (
            CLUSTERROLEBINDINGS,
            cluster_role_binding(subjects=[{"kind": "ServiceAccount", "name": "robot"}]),
            "subjects[0].namespace",
            "Required value",
        ),
        (
            ROLEBINDINGS,
            subject(kind="User", name="ana", apiGroup="apps"),
            "subjects[0].apiGroup",
            f'Unsupported value: "apps": supported values: "{RBAC}"',
        ),
        (
            RUNTIMECLASSES,
            cluster_wide(handler="Run_C"),
            "handler",
            (
                'Invalid value: "Run_C": a lowercase RFC 1123 label must consist of lower case alphanumeric '
                "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  "
                "or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ),
        ),
        (
            CERTIFICATESIGNINGREQUESTS,
            signing_request(request="bm9uZQ=="),
            "spec.request",
            'Invalid value: "bm9uZQ==": PEM block type must be CERTIFICATE REQUEST',
        ),
        (CERTIFICATESIGNINGREQUESTS, signing_request(usages=[]), "spec.usages", "Required value"),
        (
            CERTIFICATESIGNINGREQUESTS,
            signing_request(usages=["signing", "signing"]),
            "spec.usages[1]",
            'Duplicate value: "signing"',
        ),
        (
            CERTIFICATESIGNINGREQUESTS,
            signing_request(signerName="mine"),
            "spec.signerName",
            (
                'Invalid value: "mine": must be a fully qualified domain and path of the form '
                "'example.com/signer-name'"
            ),
        ),
        (
            CERTIFICATESIGNINGREQUESTS,
            signing_request(signerName="com/mine"),
            "spec.signerName",
            'Invalid value: "com": should be a domain with at least two segments separated by dots',
        ),
        (
            CERTIFICATESIGNINGREQUESTS,
            signing_request(expirationSeconds=60),
            "spec.expirationSeconds",
            "Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
        ),
        (
            LEASES,
            named(spec={"leaseDurationSeconds": 0}),
            "spec.leaseDurationSeconds",
            "Invalid value: 0: must be greater than 0",
        ),
        (
            LEASES,
            named(spec={"preferredHolder": "a"}),
            "spec.preferredHolder",
            "Forbidden: may only be specified if `strategy` is defined",
        ),
    ],
)
def test_a_mistake_is_told_with_its_field(resource: Resource, obj: Object, field: str, message: str) -> None:
    assert [(cause["field"], cause["message"]) for cause in causes(resource, obj)] == [(field, message)]


# What the server sets


def test_a_network_policy_is_about_the_directions_that_it_has_rules_for() -> None:
    assert created(NETWORKPOLICIES, network_policy())["spec"]["policyTypes"] == ["Ingress"]
    outward = created(NETWORKPOLICIES, to_port(port=53))["spec"]
    assert outward["policyTypes"] == ["Ingress", "Egress"]
    assert outward["egress"][0]["ports"] == [{"port": 53, "protocol": "TCP"}]


def test_a_binding_is_within_the_group_of_roles() -> None:
    people = [{"kind": "Group", "name": "devs"}, {"kind": "ServiceAccount", "name": "robot"}]
    made = created(ROLEBINDINGS, role_binding(subjects=people))
    assert made["roleRef"] == {"kind": "Role", "name": "reader", "apiGroup": RBAC}
    assert [each.get("apiGroup") for each in made["subjects"]] == [RBAC, None]


def test_the_old_way_to_name_an_ingress_class_is_told_to_be_old() -> None:
    old_way = changed(ingress(), "metadata.annotations", {"kubernetes.io/ingress.class": "nginx"})
    made = created(INGRESSES, old_way)
    assert [told for told in BY_RESOURCE[INGRESSES].warnings(made) if "annotation" in told] == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    ]


def test_the_role_of_a_binding_stays() -> None:
    old = created(ROLEBINDINGS, role_binding())
    (cause,) = causes_of_update(ROLEBINDINGS, changed(old, "roleRef.name", "writer"), old)
    assert cause["field"] == "roleRef"
    assert cause["message"].endswith(": cannot change roleRef")


def test_the_handler_of_a_runtime_class_stays() -> None:
    old = created(RUNTIMECLASSES, cluster_wide(handler="runc"))
    (cause,) = causes_of_update(RUNTIMECLASSES, changed(old, "handler", "runsc"), old)
    assert cause["message"] == 'Invalid value: "runsc": field is immutable'


# Requests for certificates

ANA = Caller(User("ana", ("devs",), extra={"scopes": ("all",)}), "kubectl")


def decided(obj: Object, *types: str) -> Object:
    conditions = [{"type": type_, "status": "True", "reason": "ByHand"} for type_ in types]
    return obj | {"status": (obj.get("status") or {}) | {"conditions": conditions}}


def test_a_request_is_of_whoever_makes_it_whatever_it_says() -> None:
    forged = signing_request(username="root", groups=["system:masters"])
    spec = created(CERTIFICATESIGNINGREQUESTS, forged, ANA)["spec"]
    who = {key: spec.get(key) for key in ("username", "uid", "groups", "extra")}
    assert who == {"username": "ana", "uid": None, "groups": ["devs"], "extra": {"scopes": ["all"]}}


def test_a_request_stays_what_it_was() -> None:
    old = created(CERTIFICATESIGNINGREQUESTS, signing_request(), ANA)
    other = changed(decided(old, "Approved"), "spec.request", pem_request("eva"))
    new = updated(CERTIFICATESIGNINGREQUESTS, other, old)
    assert (new["spec"], new["status"]) == (old["spec"], {})


def test_an_approval_is_dated_by_the_server() -> None:
    old = created(CERTIFICATESIGNINGREQUESTS, signing_request(), ANA)
    new = updated(CERTIFICATESIGNINGREQUESTS, decided(old, "Approved"), old, "approval")
    (condition,) = new["status"]["conditions"]
    times = {key: condition[key] for key in ("lastUpdateTime", "lastTransitionTime")}
    assert set(times.values()) == {"2026-01-01T12:00:00Z"}


def test_nobody_decides_twice_or_both_ways() -> None:
    old = decided(created(CERTIFICATESIGNINGREQUESTS, signing_request(), ANA), "Approved")
    both = causes_of_update(CERTIFICATESIGNINGREQUESTS, decided(old, "Approved", "Denied"), old, "approval")
    assert [each["message"] for each in both] == [
        'Invalid value: "Denied": Approved and Denied conditions are mutually exclusive'
    ]
    (taken_back,) = causes_of_update(CERTIFICATESIGNINGREQUESTS, decided(old), old, "approval")
    assert taken_back["message"] == 'Forbidden: updates may not remove a condition of type "Approved"'


def test_the_signer_may_not_approve_by_the_status() -> None:
    old = created(CERTIFICATESIGNINGREQUESTS, signing_request(), ANA)
    (cause,) = causes_of_update(CERTIFICATESIGNINGREQUESTS, decided(old, "Approved"), old, "status")
    assert cause["message"] == 'Forbidden: updates may not add a condition of type "Approved"'


def test_who_approves_may_not_issue() -> None:
    old = created(CERTIFICATESIGNINGREQUESTS, signing_request(), ANA)
    new = decided(old, "Approved")
    new["status"]["certificate"] = pem_request()
    assert "certificate" not in updated(CERTIFICATESIGNINGREQUESTS, new, old, "approval")["status"]
