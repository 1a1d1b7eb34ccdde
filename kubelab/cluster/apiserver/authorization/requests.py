"""What an HTTP request asks of the authorizers.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go and
../filters/authorization.go.
"""

from collections.abc import Mapping

from kubelab.cluster.apiserver import routes
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.objects import NAMESPACES, Resource

_BY_SELECTOR = frozenset({"list", "watch", "deletecollection"})
_NAME_FIELD = "metadata.name="


def attributes_of(
    user: User, method: str, path: str, query: Mapping[str, str], route: Route | None
) -> RequestAttributes:
    """Return what *user* asks for; *route* is what *path* stands for, None if no kind is served there."""
    if route is None:
        return _unserved(user, method, path, query)
    where = (route.namespace, route.name, route.subresource)
    return of_resource(user, route.verb, route.kind.resource, where, query.get("fieldSelector", ""))


def of_resource(
    user: User, verb: str, resource: Resource, where: tuple[str, str, str], field_selector: str = ""
) -> RequestAttributes:
    """Return the question; *where* is namespace, name and subresource. A Namespace is in itself."""
    namespace, name, subresource = where
    within = name if resource == NAMESPACES else namespace
    path = (resource.group, resource.plural, within, name, subresource)
    return _on_resource(user, verb, path, field_selector)


def _unserved(user: User, method: str, path: str, query: Mapping[str, str]) -> RequestAttributes:
    """A resource that is not there may not be asked for either; every other path is what it is."""
    root, *parts = [part for part in path.split("/") if part] or [""]
    if root == "apis" and len(parts) > 2:
        group, parts = parts[0], parts[2:]
    elif root == "api" and len(parts) > 1:
        group, parts = "", parts[1:]
    else:
        return RequestAttributes(user, method.lower(), path=path)
    namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 1 else ""
    if namespace and len(parts) > 2:
        parts = parts[2:]
    plural, name, subresource = [*parts, "", ""][:3]
    verb = routes.verb_of(method, name, query)
    where = (group, plural, namespace, name, subresource)
    return _on_resource(user, verb, where, query.get("fieldSelector", ""))


def _on_resource(
    user: User, verb: str, where: tuple[str, str, str, str, str], field_selector: str
) -> RequestAttributes:
    group, plural, namespace, name, subresource = where
    selector = field_selector if verb in _BY_SELECTOR else ""
    asked = name or _name_in(selector)
    return RequestAttributes(
        user, verb, group, plural, subresource, namespace, asked, field_selector=selector
    )


def _name_in(selector: str) -> str:
    """Return the one name that *selector* leaves: to watch it, it is enough to be allowed that one."""
    requirements = selector.split(",") if selector else ()
    names = (each.removeprefix(_NAME_FIELD).removeprefix("=") for each in requirements if _NAME_FIELD in each)
    return next(names, "")
