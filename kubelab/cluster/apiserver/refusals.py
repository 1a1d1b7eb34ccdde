"""The API's refusals, in upstream's words: each function returns the `ApiError` to raise.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go.
"""

from collections.abc import Sequence
from typing import Any

from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Resource


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(
        404, "NotFound", f'{resource.group_resource} "{name}" not found', _details(resource, name)
    )


def no_such_path() -> ApiError:
    # Details, though empty: `kubectl debug` reads them without looking whether there are any.
    return ApiError(404, "NotFound", "the server could not find the requested resource", {"name": ""})


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.group_resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str, *, subresource: str = "") -> ApiError:
    on = f"{resource.group_resource}/{subresource}" if subresource else resource.group_resource
    message = f'Operation cannot be fulfilled on {on} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def unversioned(resource: Resource, name: str) -> ApiError:
    """Return the refusal of an update that does not say which version it replaces."""
    error = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
    return invalid(resource, name, [error])


def forbidden(resource: Resource, name: str, why: str, *, causes: Sequence[dict[str, str]] = ()) -> ApiError:
    message = f'{resource.group_resource} "{name}" is forbidden: {why}'
    details = _details(resource, name)
    if causes:
        details["causes"] = list(causes)
    return ApiError(403, "Forbidden", message, details)


def invalid(resource: Resource, name: str, errors: Sequence[FieldError]) -> ApiError:
    """Return one 422 for all *errors*; the sentence names each different one once."""
    sentences = list(dict.fromkeys(str(error) for error in errors))
    summary = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _details(resource, name) | {"kind": resource.kind}
    details["causes"] = [error.cause() for error in errors]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {summary}', details)


def invalid_patch(shown: str, why: str) -> ApiError:
    """Return the refusal of a patch whose result is no object of its kind: of no kind and no name."""
    error = invalid_value("patch", shown, why)
    message = f' "" is invalid: {error}'
    return ApiError(422, "Invalid", message, {"causes": [error.cause()]})


def inapplicable_patch() -> ApiError:
    """Return the refusal of a patch that does not fit its object; upstream does not say why."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def revision(text: str) -> int:
    """Return the revision that a client's resource version names ("" is 0), or refuse it."""
    if text and not text.isdecimal():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text or 0)


def too_old(revision: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {revision} ({oldest})")


def old_page(continue_: str) -> ApiError:
    """Return the refusal of a page that is compacted away; the rest of the list is at *continue_*.

    Source: kubernetes, staging/src/k8s.io/apiserver/pkg/storage/etcd3/errors.go (inconsistentContinue).
    """
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new "
        "list without the continue parameter, or use the continue token in this response to retrieve the "
        "remainder of the results. Continuing with the provided token results in an inconsistent list - "
        "objects that were created, modified, or deleted between the time the first chunk was returned and "
        "now may show up in the list."
    )
    return ApiError(410, "Expired", message, continue_=continue_)


def too_large(revision: int, current: int) -> ApiError:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {revision}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})


def timeout() -> ApiError:
    message = "Timeout: request did not complete within the allotted timeout"
    return ApiError(504, "Timeout", message)


def method_not_allowed(resource: Resource, action: str) -> ApiError:
    message = f"{action} is not supported on resources of kind {resource.group_resource!r}".replace("'", '"')
    return ApiError(405, "MethodNotAllowed", message, _details(resource, ""))


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, "UnsupportedMediaType", message + ", ".join(accepted))


def not_acceptable(offered: Sequence[str]) -> ApiError:
    message = f"only the following media types are accepted: {', '.join(offered)}"
    return ApiError(406, "NotAcceptable", message)


def not_marshalable(kind: str) -> ApiError:
    """Return the refusal of protobuf for what has no message; upstream names its Go type."""
    why = "does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
    return ApiError(406, "NotAcceptable", f"object *{kind} {why}")


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def too_many_operations(allowed: int, given: int) -> ApiError:
    message = f"The allowed maximum operations in a JSON patch is {allowed}, got {given}"
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def too_large_body(limit_bytes: int) -> ApiError:
    message = f"Request entity too large: limit is {limit_bytes}"
    return ApiError(413, "RequestEntityTooLarge", message)


def internal(message: str) -> ApiError:
    causes = [{"message": message}]
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": causes})


def unreachable(message: str) -> ApiError:
    """Return what a client sees when the server cannot reach a kubelet: Go's error, as it comes."""
    return ApiError(500, "", message)


def invalid_log_option(option: str, value: str, detail: str) -> ApiError:
    error = FieldError("FieldValueInvalid", option, f"Invalid value: {value}: {detail}")
    message = f"PodLogOptions.core is invalid: {error}"
    return ApiError(422, "Invalid", message, {"kind": "PodLogOptions", "causes": [error.cause()]})
