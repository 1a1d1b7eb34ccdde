"""Acting as somebody else: the headers that ask for it, and what one must be allowed for each. Pure.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation.go;
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation.
Left out: constrained impersonation (KEP-5284).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.caller import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    service_account_groups,
    service_account_of,
)
from kubelab.cluster.objects import Key

USER = "impersonate-user"
GROUPS = "impersonate-group"
UID = "impersonate-uid"
EXTRA_PREFIX = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"

Check = Callable[[RequestAttributes], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who the client wants to be."""

    user: str
    groups: tuple[str, ...]
    uid: str
    extra: Mapping[str, tuple[str, ...]]


def wanted(headers: Mapping[str, tuple[str, ...]]) -> Wanted | None:
    """Return what the *headers* (names in lower case) ask for; None if nothing.

    Raises:
        ApiError: they ask for more of a user that they do not name.
    """
    if not headers:
        return None
    found = Wanted(
        next(iter(headers.get(USER, ())), ""),
        headers.get(GROUPS, ()),
        next(iter(headers.get(UID, ())), ""),
        {
            unquote(name.removeprefix(EXTRA_PREFIX)).lower(): values
            for name, values in headers.items()
            if name.startswith(EXTRA_PREFIX)
        },
    )
    if found.user:
        return found
    if found.groups or found.uid or found.extra:
        raise refusals.internal("requested groups, a uid or extras without impersonating a user")
    return None


def impersonated(user: User, found: Wanted, check: Check) -> User:
    """Return the user that *user* acts as from here on; *check* raises 403 for what it may not be."""
    for attributes in _needed(user, found):
        check(attributes)
    account = service_account_of(found.user)
    groups = found.groups or (service_account_groups(account.namespace) if account else ())
    return User(found.user, _with_system_group(found.user, groups), found.uid, found.extra)


def _needed(user: User, found: Wanted) -> Iterator[RequestAttributes]:
    """Yield what *user* must be allowed."""
    if account := service_account_of(found.user):
        yield _impersonate(user, "serviceaccounts", account)
    else:
        yield _impersonate(user, "users", Key("", found.user))
    for group in found.groups:
        yield _impersonate(user, "groups", Key("", group))
    if found.uid:
        yield _impersonate(user, "uids", Key("", found.uid), _AUTHENTICATION)
    for key, values in found.extra.items():
        for value in values:
            yield _impersonate(user, "userextras", Key("", value), _AUTHENTICATION, key)


def _impersonate(
    user: User, resource: str, key: Key, group: str = "", subresource: str = ""
) -> RequestAttributes:
    return RequestAttributes(user, "impersonate", group, resource, subresource, key.namespace, key.name)


def _with_system_group(user: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return *groups* with the one that everybody is in, unless they say that already."""
    if user == ANONYMOUS:
        return groups if UNAUTHENTICATED in groups else (*groups, UNAUTHENTICATED)
    return groups if {AUTHENTICATED, UNAUTHENTICATED} & set(groups) else (*groups, AUTHENTICATED)
