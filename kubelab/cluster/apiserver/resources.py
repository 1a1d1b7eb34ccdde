"""The verbs of the REST API, from request to answer: what HTTP adds to the registry.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/{get,create,update,patch,delete}.go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from kubelab.cluster.apiserver import (
    applying,
    bodies,
    negotiation,
    queries,
    refusals,
    subresources,
    transcoding,
)
from kubelab.cluster.apiserver.authorization.requests import of_resource
from kubelab.cluster.apiserver.bodies import Body, Expected
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.forms import Listed, View, deleted_status
from kubelab.cluster.apiserver.kind import Call, Kind, Write
from kubelab.cluster.apiserver.negotiation import Accepted, Form, accepted, media_type
from kubelab.cluster.apiserver.patching import apply_patch
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_warnings import collecting
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.apiserver.versions import Version, encode
from kubelab.cluster.client.api import PatchType
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object

PATCHES = (*(each.value for each in PatchType), applying.APPLY)
_LONG_BODY_BYTES = 64 * 1024  # Takes some 5 ms to read; longer ones are read in threads.


@dataclass(frozen=True, slots=True)
class Request:
    route: Route
    query: Mapping[str, str]
    caller: Caller
    accept: str = ""
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """`listed` is there in place of a body."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = field(default=())
    media_type: str = negotiation.JSON
    listed: Listed | None = None


class Resources:
    """Everything but watches and logs, which are streams."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._verbs: Mapping[str, Callable[[Request], Awaitable[Answer]]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def answer(self, request: Request) -> Answer:
        """Carry out *request*; raises ApiError for everything that is refused."""
        verb = self._verbs.get(request.route.verb)
        if verb is None or (request.route.kind.review and request.route.verb != "create"):
            raise refusals.method_not_allowed(request.route.kind.resource, request.route.verb)
        wanted = acceptable(request)  # Before anything is done.
        with collecting() as told:
            answer = await verb(request)
        if wanted.media_type != negotiation.JSON:
            body = await asyncio.to_thread(
                transcoding.transcoded, answer.body, wanted.media_type, request.route.kind
            )
            answer = replace(answer, body=body, media_type=wanted.media_type)
        answer = replace(answer, warnings=(*answer.warnings, *told)) if told else answer
        kind = request.route.kind
        if deprecation := kind.deprecation or (kind.custom.deprecation if kind.custom else ""):
            return replace(answer, warnings=(deprecation, *answer.warnings))
        return answer

    def view(self, request: Request) -> View:
        wanted = acceptable(request)
        include = request.query.get("includeObject") or "Metadata"
        now = self._registry.clock.now()
        return View(request.route.kind, wanted.form, now, include, wanted.media_type, wanted.meta_version)

    async def _get(self, request: Request) -> Answer:
        route = request.route
        version = await self._registry.get(route.kind, route.namespace, route.name)
        return self._shown(request, version, 200)

    async def _list(self, request: Request) -> Answer:
        route = request.route
        page = await self._registry.list(route.kind, route.namespace, queries.list_options(request.query))
        view = self.view(request)
        if view.form is Form.OBJECT and view.media_type == negotiation.JSON:
            return Answer(200, b"", listed=view.listed(page))
        return Answer(200, view.many(page))

    async def _create(self, request: Request) -> Answer:
        route = request.route
        dry_run = queries.dry_run(request.query)
        applying.check_options(request.query, "CreateOptions")
        if action := route.kind.actions.get(route.subresource):
            expected = Expected(action.api_version, action.kind, action.go_type, also=action.also)
            body = await self._read(request, expected)
            call = Call(route.kind, route.namespace, route.name, body.object, request.caller, dry_run)
            answered = await self._registry.act(route.subresource, call)
            return Answer(201, encode(answered), body.warnings)
        if route.name:
            raise refusals.method_not_allowed(route.kind.resource, "create")
        body = await self._read(request, _expected(route))
        if review := route.kind.review:
            _check_namespace(body.object, route.namespace)
            name = (body.object.get("metadata") or {}).get("name", "")
            call = Call(route.kind, route.namespace, name, body.object, request.caller, dry_run)
            return Answer(201, encode(await review(self._registry, call)))
        told: list[str] = []

        def look(stored: Object) -> None:
            told.extend(route.kind.warnings(stored))

        is_long = route.kind.in_threads
        version = await self._registry.create(
            route.kind,
            route.namespace,
            body.object,
            caller=request.caller,
            dry_run=dry_run,
            look=None if is_long else look,
        )
        if is_long:
            told += await _warnings(route.kind, version)
        return self._shown(request, version, 201, (*body.warnings, *told))

    async def _update(self, request: Request) -> Answer:
        route = request.route
        applying.check_options(request.query, "UpdateOptions")
        body = await self._read(request, _expected(route))
        _check_name(body.object, route.name)
        version, status = await self._updated(request, body.object)
        told = () if route.subresource else await _warnings(route.kind, version)
        return self._shown(request, version, status, (*body.warnings, *told))

    async def _updated(self, request: Request, obj: Object) -> tuple[Version, int]:
        """Replace an object by *obj*, or create it if it is of a kind that a PUT may create."""
        route, dry_run = request.route, queries.dry_run(request.query)
        where = (route.kind, route.namespace, obj)
        try:
            version = await self._registry.update(
                *where, subresource=route.subresource, caller=request.caller, dry_run=dry_run
            )
        except ApiError as error:
            if not error.is_not_found or route.subresource or not route.kind.creates_on_update:
                raise
            self._check_may_create(request)
            return await self._registry.create(*where, caller=request.caller, dry_run=dry_run), 201
        return version, 200

    async def _patch(self, request: Request) -> Answer:
        route, kind = request.route, media_type(request.content_type)
        if kind not in (accepted := _patches(route)):
            raise refusals.unsupported_media_type(accepted)
        applying.check_options(request.query, "PatchOptions", applies=kind == applying.APPLY)
        if kind == applying.APPLY:
            return await self._apply(request)
        patch_type = PatchType(kind)
        patch = bodies.read_patch(request.body)
        validation = queries.field_validation(request.query)
        warnings: tuple[str, ...] = ()

        def patched(old: Object) -> Object:
            nonlocal warnings
            new = apply_patch(route.kind, old, patch, patch_type)
            shown = patch if patch_type is PatchType.STRATEGIC else None
            body = bodies.fit_patched(new, old, _expected(route), validation, shown)
            _check_name(body.object, route.name)
            warnings = (*body.warnings, *(() if route.subresource else _news(route.kind, old, body.object)))
            return body.object

        version = await self._registry.change(
            route.kind,
            route.namespace,
            route.name,
            patched,
            subresource=route.subresource,
            caller=request.caller,
            dry_run=queries.dry_run(request.query),
        )
        return self._shown(request, version, 200, warnings)

    async def _apply(self, request: Request) -> Answer:
        route, forced = request.route, queries.flag(request.query, "force")
        config = await self._read_config(request)
        warnings = config.warnings

        def configured(old: Object | None, write: Write) -> Object:
            nonlocal warnings
            if old is None:
                self._check_may_create(request)
            new = applying.configured(route.kind, old, config.object, route.name, write, forced=forced)
            body = bodies.fit_patched(new, old or {}, _expected_whole(route), "Ignore")
            _check_name(body.object, route.name)
            news = () if route.subresource else _news(route.kind, old, body.object)
            warnings = (*config.warnings, *news)
            return body.object

        version, is_new = await self._registry.apply(
            route.kind,
            route.namespace,
            route.name,
            configured,
            subresource=route.subresource,
            caller=request.caller,
            dry_run=queries.dry_run(request.query),
        )
        return self._shown(request, version, 201 if is_new else 200, warnings)

    def _check_may_create(self, request: Request) -> None:
        """To write what is not there is to create it; raises ApiError 403 if the caller may not."""
        route = request.route
        where = (route.namespace, route.name, route.subresource)
        create = of_resource(request.caller.user, "create", route.kind.resource, where)
        self._registry.access.authorizer.check(create)

    async def _delete(self, request: Request) -> Answer:
        route = request.route
        options = queries.delete_options(request.query, self._read_options(request))
        deleted = await self._registry.delete(
            route.kind, route.namespace, route.name, options, caller=request.caller
        )
        if deleted.gone and not route.kind.returns_deleted:
            return Answer(200, encode(deleted_status(route.kind, deleted.version.object)))
        return self._shown(request, deleted.version, 200)

    async def _delete_collection(self, request: Request) -> Answer:
        route = request.route
        options = queries.delete_options(request.query, self._read_options(request))
        select = queries.list_options(request.query)
        page = await self._registry.delete_collection(
            route.kind, route.namespace, select, options, caller=request.caller
        )
        return Answer(200, self.view(request).many(page))

    async def _read(self, request: Request, expected: Expected) -> Body:
        validation, form = queries.field_validation(request.query), media_type(request.content_type)
        if len(request.body) > _LONG_BODY_BYTES:
            return await asyncio.to_thread(bodies.read, request.body, form, expected, validation)
        return bodies.read(request.body, form, expected, validation)

    async def _read_config(self, request: Request) -> Body:
        validation = queries.field_validation(request.query)
        if len(request.body) > _LONG_BODY_BYTES:
            return await asyncio.to_thread(bodies.read_apply, request.body, validation)
        return bodies.read_apply(request.body, validation)

    def _read_options(self, request: Request) -> Object:
        if not request.body:
            return {}
        return bodies.read(
            request.body, media_type(request.content_type), bodies.DELETE_OPTIONS, "Ignore"
        ).object

    def _shown(
        self, request: Request, version: Version, status: int, warnings: tuple[str, ...] = ()
    ) -> Answer:
        if request.route.subresource == "scale":
            return Answer(status, encode(subresources.scale_of(request.route.kind, version.object)), warnings)
        return Answer(status, self.view(request).one(version), warnings)


def acceptable(request: Request) -> Accepted:
    """Return the form of the answer that *request* wants; raises ApiError 406 if there is none.

    What is answered and not kept (a review, a binding) has no table; nor has a list that comes as a stream.
    """
    route, stream = request.route, request.route.verb == "watch"
    has_table = not route.kind.review and route.subresource not in route.kind.actions
    has_table = has_table and not (stream and queries.streams_a_list(request.query))
    has_protobuf = route.subresource == "scale" or transcoding.has_protobuf(route.kind)
    return accepted(request.accept, has_protobuf=has_protobuf, has_table=has_table, stream=stream)


def _expected(route: Route) -> Expected:
    return bodies.SCALE if route.subresource == "scale" else _expected_whole(route)


def _expected_whole(route: Route) -> Expected:
    resource = route.kind.resource
    return Expected(resource.api_version, resource.kind, route.kind.go_type, route.kind.custom)


def _patches(route: Route) -> tuple[str, ...]:
    """Return the media types of patches; without a Go type nobody knows how to merge lists strategically."""
    if route.kind.custom and route.subresource != "scale":
        return tuple(each for each in PATCHES if each != PatchType.STRATEGIC.value)
    return PATCHES


async def _warnings(kind: Kind, version: Version) -> tuple[str, ...]:
    if kind.in_threads:
        return await asyncio.to_thread(lambda: tuple(kind.warnings(version.object)))
    return tuple(kind.warnings(version.object))


def _news(kind: Kind, old: Object | None, new: Object) -> tuple[str, ...]:
    """Return the warnings about what *new* asks for and *old* did not."""
    known = set(kind.warnings(old)) if old else set()
    return tuple(each for each in kind.warnings(new) if each not in known)


def _check_namespace(review: Object, namespace: str) -> None:
    """Put the path's *namespace* into a namespaced review that names none."""
    if namespace:
        review.setdefault("metadata", {}).setdefault("namespace", namespace)


def _check_name(obj: Object, name: str) -> None:
    metadata = obj.setdefault("metadata", {})
    given = metadata.setdefault("name", name)
    if given != name:
        raise refusals.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
