"""The paths of a kind with all their operations, as OpenAPI v3 tells of them.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/installer.go (operations, parameters, the
x-kubernetes extensions), pkg/endpoints/openapi/openapi.go (operationId and tags).
Left out: the deprecated /watch/ paths, and those of streams (exec, attach, port-forward, proxy).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.apiserver import openapi_schemas
from kubelab.cluster.apiserver.kind import Action, Kind
from kubelab.cluster.apiserver.routes import CONNECTS
from kubelab.cluster.objects import Object

META = "k8s.io/apimachinery/pkg/apis/meta/v1"
STATUS, DELETE_OPTIONS, PATCH = f"{META}.Status", f"{META}.DeleteOptions", f"{META}.Patch"
SCALE = "k8s.io/api/autoscaling/v1.Scale"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH, APPLY_PATCH = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_FORMS = ("application/json", "application/yaml")
_STREAMED = ("application/json;stream=watch",)
_READ_ONLY = frozenset({"log"})


def _query(name: str, type_: str = "string") -> Object:
    return {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}


_DRY_RUN = _query("dryRun")
_WRITE = (_DRY_RUN, _query("fieldManager"), _query("fieldValidation"))
_PATCHED = (*_WRITE, _query("force", "boolean"))
_LIST = (
    _query("allowWatchBookmarks", "boolean"),
    _query("continue"),
    _query("fieldSelector"),
    _query("labelSelector"),
    _query("limit", "integer"),
    _query("resourceVersion"),
    _query("resourceVersionMatch"),
    _query("sendInitialEvents", "boolean"),
    _query("timeoutSeconds", "integer"),
    _query("watch", "boolean"),
)
_DELETE = (
    _DRY_RUN,
    _query("gracePeriodSeconds", "integer"),
    _query("orphanDependents", "boolean"),
    _query("propagationPolicy"),
)
_LOG = (
    _query("container"),
    _query("follow", "boolean"),
    _query("limitBytes", "integer"),
    _query("previous", "boolean"),
    _query("sinceSeconds", "integer"),
    _query("tailLines", "integer"),
    _query("timestamps", "boolean"),
)
_PRETTY = _query("pretty")


def _in_path(name: str, description: str) -> Object:
    shown: Object = {"name": name, "in": "path", "required": True, "description": description}
    return shown | {"schema": {"type": "string", "uniqueItems": True}}


def schema_name(kind: Kind) -> str:
    """Return the name of the schema of *kind*: `io.k8s.api.core.v1.Pod`, `com.example.stable.v1.CronTab`."""
    if kind.custom is None:
        return openapi_schemas.name_of(kind.go_type)
    resource = kind.resource
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def list_schema_name(kind: Kind) -> str:
    return schema_name(kind).removesuffix(kind.resource.kind) + kind.list_kind


def gvk(kind: Kind) -> Object:
    return {"group": kind.resource.group, "version": kind.resource.version, "kind": kind.resource.kind}


def _referring(name: str) -> Object:
    return {"$ref": openapi_schemas.REFERENCE + name}


_STATUS = openapi_schemas.reference(STATUS)


@dataclass(frozen=True, slots=True)
class _Operations:
    """The operations of one kind; `scoped` is what its operations are named after."""

    kind: Kind

    @property
    def scoped(self) -> str:
        return ("Namespaced" if self.kind.resource.namespaced else "") + self.kind.resource.kind

    def operation(
        self,
        verb: str,
        name: str,
        action: str,
        answers: dict[str, Object],
        parameters: Sequence[Object] = (),
        body: Object | None = None,
        *,
        required: bool = True,
        shown: Object | None = None,
    ) -> Object:
        made: Object = {
            "operationId": f"{verb}{_group_words(self.kind)}{name}",
            "tags": [_tag(self.kind)],
            "x-kubernetes-action": action,
            openapi_schemas.GVK: shown or gvk(self.kind),
            "responses": answers | {"401": {"description": "Unauthorized"}, "default": _DEFAULT},
        }
        made |= {"parameters": list(parameters)} if parameters else {}
        return made | ({"requestBody": {"content": body, "required": required}} if body else {})

    def collection(self) -> Object:
        kind, one = self.kind, _forms(_referring(schema_name(self.kind)))
        many = _answer(_referring(list_schema_name(kind)), (*_FORMS, *_STREAMED))
        delete = _deletion_body()
        return {
            "get": self.operation("list", self.scoped, "list", many, _LIST),
            "post": self.creation(one),
            "delete": self.operation(
                "delete",
                f"Collection{self.scoped}",
                "deletecollection",
                _answer(_STATUS),
                (*_LIST[1:-1], *_DELETE),
                delete,
                required=False,
            ),
        }

    def creation(self, body: Object) -> Object:
        answers = _answer(_referring(schema_name(self.kind)), codes=("200", "201", "202"))
        return self.operation("create", self.scoped, "post", answers, _WRITE, body)

    def everywhere(self) -> Object:
        many = _answer(_referring(list_schema_name(self.kind)), (*_FORMS, *_STREAMED))
        name = f"{self.kind.resource.kind}ForAllNamespaces"
        return {"get": self.operation("list", name, "list", many, _LIST)}

    def item(self) -> Object:
        deleted = _referring(schema_name(self.kind)) if self.kind.returns_deleted else _STATUS
        delete = self.operation(
            "delete",
            f"{self.scoped}",
            "delete",
            _answer(deleted, codes=("200", "202")),
            _DELETE,
            _deletion_body(),
            required=False,
        )
        return self.part("", schema_name(self.kind)) | {"delete": delete}

    def part(self, subresource: str, schema: str, shown: Object | None = None) -> Object:
        """Return the operations on an object or on a part of it."""
        name = f"{self.scoped}{subresource[:1].upper()}{subresource[1:]}"
        referring = _referring(schema)
        patches = [JSON_PATCH, MERGE_PATCH, *([] if self.kind.custom else [STRATEGIC_PATCH]), APPLY_PATCH]
        patch = {each: {"schema": openapi_schemas.reference(PATCH)} for each in patches}
        both, one = _answer(referring, codes=("200", "201")), _answer(referring)
        return {
            "get": self.operation("read", name, "get", one, shown=shown),
            "put": self.operation("replace", name, "put", both, _WRITE, _forms(referring), shown=shown),
            "patch": self.operation("patch", name, "patch", both, _PATCHED, patch, shown=shown),
        }

    def log(self) -> Object:
        text = {"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}}
        return {"get": self.operation("read", f"{self.scoped}Log", "get", text, _LOG)}

    def finalize(self) -> Object:
        part = self.part("finalize", schema_name(self.kind))
        return {"put": part["put"]}

    def action(self, name: str, action: Action) -> Object:
        referring = openapi_schemas.reference(action.go_type)
        group, _, version = action.api_version.rpartition("/")
        shown = {"group": group, "version": version, "kind": action.kind}
        named = f"{self.scoped}{name[:1].upper()}{name[1:]}"
        answers = _answer(referring, codes=("200", "201", "202"))
        return {
            "post": self.operation("create", named, "post", answers, _WRITE, _forms(referring), shown=shown)
        }

    def subresource(self, name: str) -> Object:
        if name in self.kind.actions:
            return self.action(name, self.kind.actions[name])
        if name == "scale":
            shown = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
            return self.part(name, openapi_schemas.name_of(SCALE), shown)
        if name == "finalize":
            return self.finalize()
        return self.log() if name in _READ_ONLY else self.part(name, schema_name(self.kind))


def of_kind(kind: Kind) -> Iterator[tuple[str, Object]]:
    """Yield each path of *kind* with its operations and the parameters that they share."""
    resource, operations = kind.resource, _Operations(kind)
    root = f"/{'apis' if resource.group else 'api'}/{resource.api_version}"
    shared = [_PRETTY]
    collection = f"{root}/{resource.plural}"
    if resource.namespaced:
        if not kind.review:
            yield collection, operations.everywhere() | {"parameters": shared}
        about = "object name and auth scope, such as for teams and projects"
        shared = [_in_path("namespace", about), _PRETTY]
        collection = f"{root}/namespaces/{{namespace}}/{resource.plural}"
    if kind.review:
        created = operations.creation(_forms(_referring(schema_name(kind))))
        yield collection, {"post": created, "parameters": shared}
        return
    yield collection, _allowed(operations.collection(), kind, _OF_COLLECTION) | {"parameters": shared}
    named = [_in_path("name", f"name of the {resource.kind}"), *shared]
    yield f"{collection}/{{name}}", _allowed(operations.item(), kind, _OF_ITEM) | {"parameters": named}
    for name in sorted({*kind.all_subresources} - CONNECTS):
        found = operations.subresource(name)
        yield f"{collection}/{{name}}/{name}", found | {"parameters": named}


_OF_COLLECTION = {"get": "list", "post": "create", "delete": "deletecollection"}
_OF_ITEM = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}


def _allowed(item: Object, kind: Kind, verbs: Mapping[str, str]) -> Object:
    """Return the operations of *item* that there are for a kind which has not all verbs."""
    return {name: each for name, each in item.items() if not kind.verbs or verbs[name] in kind.verbs}


def go_types(kind: Kind) -> Iterator[str]:
    """Yield the Go types that the paths of *kind* refer to."""
    if not kind.custom:
        yield kind.go_type
        yield kind.go_type.removesuffix(kind.resource.kind) + kind.list_kind
    yield from (action.go_type for action in kind.actions.values())
    yield from (STATUS, DELETE_OPTIONS, f"{META}.ObjectMeta", f"{META}.ListMeta")
    if "scale" in kind.subresources:
        yield SCALE


def _forms(referring: Object, forms: Sequence[str] = _FORMS) -> Object:
    return {form: {"schema": referring} for form in forms}


def _deletion_body() -> Object:
    return _forms(openapi_schemas.reference(DELETE_OPTIONS))


_TELLS = {"200": "OK", "201": "Created", "202": "Accepted"}
_DEFAULT = {"description": "Failure", "content": _forms(_STATUS, _FORMS[:1])}


def _answer(
    referring: Object, forms: Sequence[str] = _FORMS, *, codes: Sequence[str] = ("200",)
) -> dict[str, Object]:
    return {code: {"description": _TELLS[code], "content": _forms(referring, forms)} for code in codes}


def _group_words(kind: Kind) -> str:
    """Return `CoreV1`, `RbacAuthorizationV1`: what upstream puts behind the verb of an operation's name."""
    group = (kind.resource.group or "core").removesuffix(".k8s.io")
    words = re.split(r"[./\-]", f"{group}.{kind.resource.version}")
    return "".join(word[:1].upper() + word[1:] for word in words)


def _tag(kind: Kind) -> str:
    first, *rest = re.split(r"[./\-]", (kind.resource.group or "core").removesuffix(".k8s.io"))
    return first + "".join(word[:1].upper() + word[1:] for word in rest) + f"_{kind.resource.version}"
