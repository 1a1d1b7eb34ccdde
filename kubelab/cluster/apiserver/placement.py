"""Where a pod may run: affinity, tolerations, topology spread and scheduling gates; what they must be.

Source: kubernetes, pkg/apis/core/validation/validation.go (validateAffinity, ValidateTolerations,
validateTopologySpreadConstraints, validateSchedulingGates) and pkg/registry/core/pod/strategy.go
(mutatePodAffinity, mutateTopologySpreadConstraints).
"""

from collections.abc import Iterator, Mapping

from kubelab.cluster.apiserver import label_selectors
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    dns_label,
    dns_subdomain,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    label_value,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_POD_AFFINITIES = ("podAffinity", "podAntiAffinity")
_WEIGHT_MAX = 100


def set_label_keys(spec: Object, labels: Mapping[str, str]) -> None:
    """Turn keys of labels that are to match the pod's own into expressions that say the values."""
    for constraint in spec.get("topologySpreadConstraints") or ():
        _add_expressions(constraint, "matchLabelKeys", "In", labels)
    for kind in _POD_AFFINITIES:
        for term in _pod_terms((spec.get("affinity") or {}).get(kind) or {}):
            _add_expressions(term, "matchLabelKeys", "In", labels)
            _add_expressions(term, "mismatchLabelKeys", "NotIn", labels)


def _pod_terms(affinity: Object) -> Iterator[Object]:
    for preferred in affinity.get(_PREFERRED) or ():
        yield preferred.get("podAffinityTerm") or {}
    yield from affinity.get(_REQUIRED) or ()


def _add_expressions(part: Object, keys: str, operator: str, labels: Mapping[str, str]) -> None:
    selector = part.get("labelSelector")
    wanted = [key for key in part.get(keys) or () if key in labels]
    if selector is not None and wanted:
        expressions = selector.setdefault("matchExpressions", [])
        expressions += [{"key": key, "operator": operator, "values": [labels[key]]} for key in wanted]


# Affinity


def affinity(affinity: Object, field: str) -> Iterator[FieldError]:
    if (of_node := affinity.get("nodeAffinity")) is not None:
        yield from _node_affinity(of_node, f"{field}.nodeAffinity")
    for name in _POD_AFFINITIES:
        if (of_pods := affinity.get(name)) is not None:
            yield from _pod_affinity(of_pods, f"{field}.{name}")


def _node_affinity(of_node: Object, field: str) -> Iterator[FieldError]:
    if (selector := of_node.get(_REQUIRED)) is not None:
        place = f"{field}.{_REQUIRED}.nodeSelectorTerms"
        if not (terms := selector.get("nodeSelectorTerms")):
            yield required(place, "must have at least one node selector term")
        for where, term in indexed(terms, place):
            yield from _node_term(term, where, check_values=True)
    for where, preferred in indexed(of_node.get(_PREFERRED), f"{field}.{_PREFERRED}"):
        yield from _weight(preferred, where)
        yield from _node_term(preferred.get("preference") or {}, f"{where}.preference", check_values=False)


def _weight(preferred: Object, field: str) -> Iterator[FieldError]:
    if not 1 <= (weight := preferred.get("weight", 0)) <= _WEIGHT_MAX:
        yield invalid_value(f"{field}.weight", weight, "must be in the range 1-100")


def _node_term(term: Object, field: str, *, check_values: bool) -> Iterator[FieldError]:
    for where, expression in indexed(term.get("matchExpressions"), f"{field}.matchExpressions"):
        yield from _node_expression(expression, where, check_values=check_values)
    for where, expression in indexed(term.get("matchFields"), f"{field}.matchFields"):
        yield from _node_field(expression, where)


def _node_expression(expression: Object, field: str, *, check_values: bool) -> Iterator[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in {"In", "NotIn"}:
        if not values:
            yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden_field(f"{field}.values", detail)
    elif operator in {"Gt", "Lt"}:
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield required(f"{field}.values", detail)
    else:
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    yield from word(expression.get("key", ""), f"{field}.key", label_key)
    for where, value in indexed(values if check_values else (), f"{field}.values"):
        yield from word(value, where, label_value)


def _node_field(expression: Object, field: str) -> Iterator[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator not in {"In", "NotIn"}:
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{field}.values", detail)
    if (key := expression.get("key", "")) != "metadata.name":
        yield invalid_value(f"{field}.key", key, "not a valid field selector key")
        return
    for where, value in indexed(values, f"{field}.values"):
        yield from word(value, where, dns_subdomain)


def _pod_affinity(of_pods: Object, field: str) -> Iterator[FieldError]:
    for where, term in indexed(of_pods.get(_REQUIRED), f"{field}.{_REQUIRED}"):
        yield from _pod_term(term, where)
    for where, preferred in indexed(of_pods.get(_PREFERRED), f"{field}.{_PREFERRED}"):
        yield from _weight(preferred, where)
        yield from _pod_term(preferred.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _pod_term(term: Object, field: str) -> Iterator[FieldError]:
    for key in ("labelSelector", "namespaceSelector"):
        yield from label_selectors.validate(term.get(key), f"{field}.{key}")
    for name in term.get("namespaces") or ():
        yield from word(name, f"{field}.namespace", dns_label)
    for keys in ("matchLabelKeys", "mismatchLabelKeys"):
        yield from _label_keys(term.get(keys) or [], term.get("labelSelector"), f"{field}.{keys}")
    mismatched = term.get("mismatchLabelKeys") or ()
    for where, key in indexed(term.get("matchLabelKeys"), f"{field}.matchLabelKeys"):
        if key in mismatched:
            yield invalid_value(where, key, "exists in both matchLabelKeys and mismatchLabelKeys")
    topology = term.get("topologyKey", "")
    if not topology:
        yield required(f"{field}.topologyKey", "can not be empty")
    yield from word(topology, f"{field}.topologyKey", label_key)


def _label_keys(keys: list[str], selector: Object | None, field: str) -> Iterator[FieldError]:
    if keys and selector is None:
        yield forbidden_field(field, "must not be specified when labelSelector is not set")
        return
    for where, key in indexed(keys, field):
        yield from word(key, where, label_key)


# Tolerations


def tolerations(tolerations: list[Object], field: str) -> Iterator[FieldError]:
    for place, toleration in indexed(tolerations, field):
        yield from _toleration(toleration, place)


def _toleration(toleration: Object, field: str) -> Iterator[FieldError]:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        yield from word(key, f"{field}.key", label_key)
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid_value(f"{field}.operator", operator, detail)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield invalid_value(f"{field}.effect", effect, detail)
    if operator in {"Equal", ""}:
        if wrong := ";".join(label_value(value)):
            yield invalid_value(f"{field}.operator", value, wrong)
    elif operator == "Exists":
        if value:
            detail = "value must be empty when `operator` is 'Exists'"
            yield invalid_value(f"{field}.operator", value, detail)
    else:
        yield unsupported_value(f"{field}.operator", operator, ("Equal", "Exists"))
    if effect:
        yield from choice(effect, f"{field}.effect", EFFECTS)


# Topology spread and gates


def topology_spread(constraints: list[Object], field: str) -> Iterator[FieldError]:
    for index, constraint in enumerate(constraints):
        place = f"{field}[{index}]"
        yield from _spread(constraint, place)
        pair = (constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", ""))
        rest = constraints[index + 1 :]
        if pair in {(each.get("topologyKey", ""), each.get("whenUnsatisfiable", "")) for each in rest}:
            yield duplicate(f"{place}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")


def _spread(constraint: Object, field: str) -> Iterator[FieldError]:
    if (skew := constraint.get("maxSkew", 0)) <= 0:
        yield invalid_value(f"{field}.maxSkew", skew, "must be greater than zero")
    if not constraint.get("topologyKey"):
        yield required(f"{field}.topologyKey", "can not be empty")
    action = constraint.get("whenUnsatisfiable", "")
    yield from choice(action, f"{field}.whenUnsatisfiable", ("DoNotSchedule", "ScheduleAnyway"))
    if (domains := constraint.get("minDomains")) is not None:
        if domains <= 0:
            yield invalid_value(f"{field}.minDomains", domains, "must be greater than zero")
        if action != "DoNotSchedule":
            detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            yield invalid_value(f"{field}.minDomains", domains, detail)
    for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        yield from choice(constraint.get(policy), f"{field}.{policy}", ("Honor", "Ignore"))
    selector, keys = constraint.get("labelSelector"), constraint.get("matchLabelKeys") or []
    yield from _label_keys(keys, selector, f"{field}.matchLabelKeys")
    yield from label_selectors.validate(selector, f"{field}.labelSelector")


def scheduling_gates(gates: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, gate in indexed(gates, field):
        name = gate.get("name", "")
        yield from word(name, place, label_key)
        if name in seen:
            yield duplicate(place, name)
        seen.add(name)


def gates_only_removed(new: list[Object], old: list[Object], field: str) -> Iterator[FieldError]:
    known = {gate.get("name", "") for gate in old}
    for place, gate in indexed(new, field):
        if (name := gate.get("name", "")) not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{name}'"
            yield forbidden_field(f"{place}.name", detail)


def tolerations_only_added(new: list[Object], old: list[Object], field: str) -> Iterator[FieldError]:
    """How long a taint is tolerated may change, nothing else."""
    wanted = [_timeless(toleration) for toleration in new]
    if any(_timeless(toleration) not in wanted for toleration in old):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden_field(field, detail)


def _timeless(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds" and value}


def selector_only_added(new: Object, old: Object, field: str) -> Iterator[FieldError]:
    if any(new.get(key) != value for key, value in old.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid_value(field, new, detail)


def affinity_only_added(new: Object, old: Object, field: str) -> Iterator[FieldError]:
    """Terms that are there may only ask for more."""
    before = (old.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    terms = (new.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    place = f"{field}.{_REQUIRED}.nodeSelectorTerms"
    if before and len(before) != len(terms):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        yield invalid_value(place, terms, detail)
        return
    for (where, term), earlier in zip(indexed(terms, place), before, strict=False):
        if not _asks_more(term, earlier):
            yield invalid_value(where, term, "only additions are allowed (no mutations or deletions)")


def _asks_more(new: Object, old: Object) -> bool:
    kinds = ("matchExpressions", "matchFields")
    if not any(old.get(kind) for kind in kinds):
        return not any(new.get(kind) for kind in kinds)
    return all((new.get(kind) or [])[: len(old.get(kind) or ())] == (old.get(kind) or []) for kind in kinds)
