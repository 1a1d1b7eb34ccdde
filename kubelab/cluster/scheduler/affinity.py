"""Node selectors and node affinity.

Source: kubernetes, staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go.
"""

from kubelab.cluster.objects import Object, labels_of


def matches_node(pod: Object, node: Object) -> bool:
    """Whether *node* meets the pod's nodeSelector and required node affinity (its terms are alternatives)."""
    labels = labels_of(node)
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(name) != value for name, value in selector.items()):
        return False
    required = _node_affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_meets(term, node) for term in required["nodeSelectorTerms"])


def preference(pod: Object, node: Object) -> int:
    """Return the sum of the weights of the preferred terms that *node* meets."""
    preferred = _node_affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(int(term["weight"]) for term in preferred if _meets(term["preference"], node))


def has_preferences(pod: Object) -> bool:
    return bool(_node_affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution"))


def _node_affinity(pod: Object) -> Object:
    return (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}


def _meets(term: Object, node: Object) -> bool:
    """An empty term meets nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(expression, labels_of(node)) for expression in expressions) and all(
        _holds(expression, {"metadata.name": node["metadata"]["name"]}) for expression in fields
    )


def _holds(expression: Object, values: dict[str, str]) -> bool:
    key = expression["key"]
    wanted: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return key in values and values[key] in wanted
        case "NotIn":
            return key not in values or values[key] not in wanted
        case "Exists":
            return key in values
        case "DoesNotExist":
            return key not in values
        case "Gt" | "Lt" as operator if wanted:
            return key in values and _compares(values[key], operator, wanted[0])
    return False


def _compares(text: str, operator: str, bound: str) -> bool:
    try:
        value, limit = int(text), int(bound)
    except ValueError:
        return False
    return value > limit if operator == "Gt" else value < limit
