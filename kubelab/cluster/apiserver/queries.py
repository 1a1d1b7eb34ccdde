"""The options of a request, as its query and, for DELETE, its body give them.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go (ListOptions, DeleteOptions) and
the validation beside it (internalversion/validation/validation.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.deletion import DeleteOptions, Propagation
from kubelab.cluster.apiserver.durations import parse_duration
from kubelab.cluster.apiserver.fields import FieldError, forbidden_field, unsupported_value
from kubelab.cluster.apiserver.registry import ListOptions
from kubelab.cluster.objects import Object, Resource

FieldValidation = Literal["Strict", "Warn", "Ignore"]
_FIELD_VALIDATIONS: tuple[str, ...] = get_args(FieldValidation)
_MATCH = "resourceVersionMatch"
_LIST_OPTIONS = Resource("meta.k8s.io", "v1", "listoptions", "ListOptions", namespaced=False)
REQUEST_TIMEOUT_S = 60
WATCH_TIMEOUT_S = 3600  # When the client sets none; upstream takes 30 to 60 minutes, at random.


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`revision` None: begin with what is there now, or at that version or a later one (`not_older_than`).

    `revision` 0: begin with what comes from now on. `initial_events_end`: tell where what is there ends.
    """

    label_selector: str
    field_selector: str
    revision: int | None
    not_older_than: str
    initial_events_end: bool
    bookmarks: bool
    timeout_s: float


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return whether *name* is asked for: it is, whatever it is set to, unless that is false or 0."""
    return name in query and query[name].lower() not in {"false", "0"}


def number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name, "")
    if value and not value.lstrip("-").isdecimal():
        raise refusals.bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    return int(value) if value else None


def timeout_s(query: Mapping[str, str]) -> float:
    """Return how long a request may take that is no stream: what the client asks, a minute at the most."""
    asked = query.get("timeout", "")
    if not asked:
        return REQUEST_TIMEOUT_S
    try:
        return min(parse_duration(asked), REQUEST_TIMEOUT_S) or REQUEST_TIMEOUT_S
    except ValueError as error:
        raise refusals.bad_request(f"invalid timeout specified in the request URL: {error}") from error


def dry_run(query: Mapping[str, str], body: Object | None = None) -> bool:
    asked = query.get("dryRun") or next(iter((body or {}).get("dryRun") or ()), "")
    if asked not in {"", "All"}:
        raise refusals.bad_request(f'dryRun: Unsupported value: "{asked}": supported values: "All"')
    return bool(asked)


def field_validation(query: Mapping[str, str]) -> FieldValidation:
    asked = query.get("fieldValidation") or "Warn"
    if asked not in _FIELD_VALIDATIONS:
        supported = ", ".join(f'"{each}"' for each in ("Ignore", "Strict", "Warn"))
        raise refusals.bad_request(
            f'fieldValidation: Unsupported value: "{asked}": supported values: {supported}'
        )
    return cast("FieldValidation", asked)


def list_options(query: Mapping[str, str]) -> ListOptions:
    """Return what to list.

    Raises:
        ApiError: 422, also when the options are those of a watch.
    """
    _refuse(_list_faults(query))
    return ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=max(0, number(query, "limit") or 0),
        continue_=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        exact=query.get(_MATCH) == "Exact",
    )


def _list_faults(query: Mapping[str, str]) -> Iterator[FieldError]:
    match, version = query.get(_MATCH, ""), query.get("resourceVersion", "")
    if match and not version:
        yield forbidden_field(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided")
    if match and query.get("continue"):
        yield forbidden_field(_MATCH, f"{_MATCH} is forbidden when continue is provided")
    if match not in {"", "Exact", "NotOlderThan"}:
        yield unsupported_value(_MATCH, match, ("Exact", "NotOlderThan", ""))
    if match == "Exact" and version == "0":
        yield forbidden_field(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"')
    if "sendInitialEvents" in query:
        yield forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")


def watch_options(query: Mapping[str, str]) -> WatchOptions:
    """Return how to watch.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch and
    #streaming-lists (KEP-3157).

    Raises:
        ApiError: 422.
    """
    version = query.get("resourceVersion", "")
    initial_events = flag(query, "sendInitialEvents")
    bookmarks = flag(query, "allowWatchBookmarks")
    _refuse(_watch_faults(query))
    begins_with_state = initial_events or (version in {"", "0"} and "sendInitialEvents" not in query)
    timeout_s = number(query, "timeoutSeconds")
    return WatchOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        revision=None if begins_with_state else refusals.revision(version),
        not_older_than=version if initial_events else "",
        initial_events_end=initial_events and bookmarks,
        bookmarks=bookmarks,
        timeout_s=WATCH_TIMEOUT_S if timeout_s is None else max(0, timeout_s),
    )


def streams_a_list(query: Mapping[str, str]) -> bool:
    """Return whether a watch stands for a list and what comes after it, with a bookmark between them.

    Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/get.go (isListWatchRequest).
    """
    return flag(query, "sendInitialEvents") and flag(query, "allowWatchBookmarks")


def _watch_faults(query: Mapping[str, str]) -> Iterator[FieldError]:
    match, has_initial = query.get(_MATCH, ""), "sendInitialEvents" in query
    if has_initial and match != "NotOlderThan":
        why = f"sendInitialEvents requires setting {_MATCH} to NotOlderThan"
        yield forbidden_field(_MATCH, why)
    if match and not has_initial:
        why = f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided"
        yield forbidden_field(_MATCH, why)
    if match and match != "NotOlderThan":
        yield unsupported_value(_MATCH, match, ("NotOlderThan",))
    if match and query.get("continue"):
        yield forbidden_field(_MATCH, f"{_MATCH} is forbidden when continue is provided")


def _refuse(faults: Iterator[FieldError]) -> None:
    if errors := list(faults):
        raise refusals.invalid(_LIST_OPTIONS, "", errors)


def delete_options(query: Mapping[str, str], body: Object) -> DeleteOptions:
    """Return the options that a DELETE's *body* or, without one, its query gives."""
    grace_s = body.get("gracePeriodSeconds")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or None
    if propagation not in {None, *get_args(Propagation)}:
        supported = '"Background", "Foreground", "Orphan", "nil"'
        message = f'propagationPolicy: Unsupported value: "{propagation}": supported values: {supported}'
        raise refusals.bad_request(message)
    orphan = body.get("orphanDependents")
    if orphan is not None and propagation is None:
        propagation = "Orphan" if orphan else "Background"
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        grace_period_s=number(query, "gracePeriodSeconds") if grace_s is None else grace_s,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        propagation=cast("Propagation | None", propagation),
        dry_run=dry_run(query, body),
    )
