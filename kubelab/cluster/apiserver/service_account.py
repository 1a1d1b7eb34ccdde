"""ServiceAccount: every pod runs as an account of its namespace, and finds the account's token in its files.

Source: kubernetes, plugin/pkg/admission/serviceaccount/admission.go;
https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken.
"""

from collections.abc import Callable, Iterator

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Lister
from kubelab.cluster.apiserver.token_volume import token_volume
from kubelab.cluster.clock import Clock
from kubelab.cluster.objects import PODS, Object

DEFAULT = "default"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
# A new namespace gets its default account from a controller, a moment later.
_ATTEMPTS = 10
_RETRY_S = 0.1


class ServiceAccountAdmission:
    """*suffix* makes the end of a volume's name."""

    def __init__(self, accounts: Lister, clock: Clock, suffix: Callable[[], str]) -> None:
        self._accounts = accounts
        self._clock = clock
        self._suffix = suffix

    async def admit(self, attributes: Attributes) -> None:
        if not attributes.is_of(PODS, "CREATE"):
            return
        pod = attributes.new
        assert pod is not None
        if is_mirror(pod):
            return
        spec = pod["spec"]
        name = spec["serviceAccountName"] = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccount"] = name  # The field's old name, which upstream still fills.
        account = await self._account(attributes, name)
        if mounts_token(account, spec):
            mount_token(spec, VOLUME_PREFIX + self._suffix())
        if not spec.get("imagePullSecrets") and (secrets := account.get("imagePullSecrets")):
            spec["imagePullSecrets"] = [{"name": secret.get("name", "")} for secret in secrets]

    async def validate(self, attributes: Attributes) -> None:
        pod = attributes.new
        ephemeral = attributes.is_of(PODS, "UPDATE", subresource="ephemeralcontainers")
        if pod is None or not (ephemeral or attributes.is_of(PODS, "CREATE")):
            return
        if is_mirror(pod) and not ephemeral:
            for why in _forbidden_to_mirrors(pod["spec"]):
                raise attributes.forbidden(why)
            return
        if not (name := pod["spec"].get("serviceAccountName")):
            why = f"no service account specified for pod {attributes.namespace}/{attributes.name}"
            raise attributes.forbidden(why)
        account = await self._account(attributes, name)
        if _enforces(account):
            for why in unmountable(account, pod["spec"], only_ephemeral=ephemeral):
                raise attributes.forbidden(why)

    async def _account(self, attributes: Attributes, name: str) -> Object:
        namespace = attributes.namespace
        account = await self._accounts.get(namespace, name)
        for _ in range(_ATTEMPTS - 1 if name == DEFAULT else 0):
            if account is not None:
                break
            await self._clock.sleep(_RETRY_S)
            account = await self._accounts.live(namespace, name)
        if account is None:
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise attributes.forbidden(why, unnamed=True)
        return account


def is_mirror(pod: Object) -> bool:
    return MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {})


def mounts_token(account: Object, spec: Object) -> bool:
    """The pod's wish comes before its account's; without any, the token is mounted."""
    for holder in (spec, account):
        if (wanted := holder.get("automountServiceAccountToken")) is not None:
            return bool(wanted)
    return True


def mount_token(spec: Object, volume_name: str) -> None:
    """Mount the account's token in every container that has nothing of its own in that place."""
    volumes = spec.get("volumes") or []
    known = next((name for each in volumes if (name := each.get("name", "")).startswith(VOLUME_PREFIX)), None)
    mount = {"name": known or volume_name, "readOnly": True, "mountPath": MOUNT_PATH}
    needed = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or []
        if all(each.get("mountPath") != MOUNT_PATH for each in mounts):
            container["volumeMounts"] = [*mounts, dict(mount)]
            needed = True
    if needed and known is None:
        spec["volumes"] = [*volumes, {"name": volume_name, "projected": token_volume()}]


def _enforces(account: Object) -> bool:
    value = (account["metadata"].get("annotations") or {}).get(ENFORCE_ANNOTATION)
    return value in {"1", "t", "T", "TRUE", "true", "True"}


def unmountable(account: Object, spec: Object, *, only_ephemeral: bool = False) -> Iterator[str]:
    """Yield which secrets the pod names although its account, which insists on it, does not."""
    mountable = {secret.get("name") for secret in account.get("secrets") or ()}
    because = f"is not allowed because service account {account['metadata']['name']} does not reference that"
    if only_ephemeral:
        yield from _in_containers(spec, "ephemeralContainers", "ephemeral container", mountable, because)
        return
    for volume in spec.get("volumes") or ():
        if "secret" in volume and (name := volume["secret"].get("secretName")) not in mountable:
            yield f'volume with secret.secretName="{name}" {because} secret'
    yield from _in_containers(spec, "initContainers", "init container", mountable, because)
    yield from _in_containers(spec, "containers", "container", mountable, because)
    pullable = {secret.get("name") for secret in account.get("imagePullSecrets") or ()}
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if secret.get("name") not in pullable:
            yield f'imagePullSecrets[{index}].name="{secret.get("name")}" {because} imagePullSecret'


def _in_containers(
    spec: Object, part: str, called: str, mountable: set[str | None], because: str
) -> Iterator[str]:
    for container in spec.get(part) or ():
        for how, name in _secrets_of(container):
            if name not in mountable:
                secret = f'referencing secret.secretName="{name}"'
                yield f"{called} {container['name']} with {how} {secret} {because} secret"


def _secrets_of(container: Object) -> Iterator[tuple[str, str | None]]:
    for variable in container.get("env") or ():
        if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
            yield f"envVar {variable['name']}", reference.get("name")
    for source in container.get("envFrom") or ():
        if reference := source.get("secretRef"):
            yield "envFrom", reference.get("name")


def _forbidden_to_mirrors(spec: Object) -> Iterator[str]:
    """A mirror pod shows what a kubelet runs from its files: no object of the cluster can be part of it."""
    if spec.get("serviceAccountName"):
        yield "a mirror pod may not reference service accounts"
    if names_secrets(spec):
        yield "a mirror pod may not reference secrets"
    if any("serviceAccountToken" in source for source in projected_sources(spec)):
        yield "a mirror pod may not use ServiceAccountToken volume projections"


def projected_sources(spec: Object) -> Iterator[Object]:
    for volume in spec.get("volumes") or ():
        yield from (volume.get("projected") or {}).get("sources") or ()


def names_secrets(spec: Object) -> bool:
    parts = ("containers", "initContainers", "ephemeralContainers")
    containers = [each for part in parts for each in spec.get(part) or ()]
    return (
        bool(spec.get("imagePullSecrets"))
        or any("secret" in volume for volume in spec.get("volumes") or ())
        or any("secret" in source for source in projected_sources(spec))
        or any(True for container in containers for _ in _secrets_of(container))
    )
