"""The images of this user on this host, shared by all labs and by `kubelab image`.

As root they lie in /var/lib/kubelab/images, otherwise in the user's data directory (XDG); KUBELAB_IMAGES
names another place. What `pull` and `load` bring is checked before it has a name; what is cut short leaves
nothing.
Source: containerd, core/metadata and core/images, for what has a name, what is garbage and when.
Left out: tags of one's own (`tag`), building, pushing, limits on the store's size.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import platformdirs

from kubelab.cluster.errors import KernelError
from kubelab.cluster.images import archive, builtin, index, manifest, overlay, reference, registry
from kubelab.cluster.images.content import Content, Heartbeat, is_in_use
from kubelab.cluster.images.image import History, Image, ImageError, Layer
from kubelab.cluster.images.layer import Whiteouts
from kubelab.cluster.images.manifest import ConfigFile, Descriptor, Manifest, Platform
from kubelab.cluster.images.progress import Progress
from kubelab.cluster.images.reference import PullPolicy, Reference
from kubelab.cluster.images.registry import Credentials
from kubelab.cluster.images.work import in_stoppable_thread
from kubelab.cluster.linux import detached_mounts, user_namespace
from kubelab.cluster.linux.threads import in_thread
from kubelab.language import Text

LAYERS_AT_ONCE = 3
NESTED_INDEXES_MAX = 3

logger = logging.getLogger(__name__)

_Fetch = Callable[[Descriptor, Heartbeat], Awaitable[None]]


def default_path() -> Path:
    if named := os.environ.get("KUBELAB_IMAGES"):
        return Path(named)
    if user_namespace.is_host_root():
        return Path("/var/lib/kubelab/images")
    return Path(platformdirs.user_data_path("kubelab")) / "images"


@dataclass(frozen=True, slots=True)
class Loan:
    """The layers of an image for one container; nobody removes them until it is closed.

    `fd`: a mount that holds them, for `overlay.attach` in the container's child; -1 if there are none.
    `lowers`: where they are after that, uppermost first."""

    fd: int
    lowers: tuple[str, ...]
    held: tuple[int, ...]

    def close(self) -> None:
        for fd in self.held:
            os.close(fd)

    def __enter__(self) -> "Loan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ImageStore:
    """Made by `open`. Its methods that are not coroutines read a few small files."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._platform = Platform.of_machine(os.uname().machine)
        self._known: dict[tuple[str, str], tuple[Image, ConfigFile]] = {}
        self._found: dict[str, Image] = {}  # By the name that was asked for, in that version of the index.
        self._found_in: tuple[int, ...] = ()
        self._pulls: dict[str, asyncio.Lock] = {}

    @classmethod
    def open(cls, path: Path | None = None) -> "ImageStore":
        """Open the store, making it if need be, and remove what others left unfinished. May take long.

        Raises:
            ImageError: it cannot be had there.
        """
        store = cls(Content(path or default_path()))
        store.collect()
        return store

    @property
    def path(self) -> Path:
        return self._content.path

    def images(self) -> tuple[Image, ...]:
        """Return all that can be had without a network, by reference; the lab's own among them."""
        named = set(index.read(self.path)) | {str(each) for each in builtin.references()}
        return tuple(self.resolve(each) for each in sorted(named))

    def resolve(self, name: str) -> Image:
        """Return the image that *name*, a reference or an id, means.

        Raises:
            ImageError: it is not in the store.
        """
        return self._resolve(name)[0]

    async def find(self, name: str) -> Image:
        """Return the image as `resolve` does, without holding up the loop: one of the lab's own is written
        the first time, and others may have the store locked. Raises ImageError."""
        version = index.version(self.path)
        if version != self._found_in:
            self._found_in = version
            self._found.clear()
        if (found := self._found.get(name)) is None:
            found = await in_thread(self.resolve, name)
            if version == self._found_in:
                self._found[name] = found
        return found

    def history(self, name: str) -> tuple[History, ...]:
        """Return how the image was built, first step first. Raises ImageError."""
        image, config = self._resolve(name)
        return config.history(image.layers)

    def document(self, name: str) -> bytes:
        """Return the image's config as it is. Raises ImageError."""
        return self._content.document(self.resolve(name).id)

    async def pull(
        self,
        name: str,
        policy: PullPolicy | None = None,
        *,
        progress: Progress | None = None,
        credentials: Credentials | None = None,
        insecure: bool = False,
    ) -> Image:
        """Return the image, brought from its registry if the policy (Kubernetes' default) asks for it.

        Raises:
            ImageError: it cannot be had; the store is as it was.
        """
        ref = reference.parse(name)
        if builtin.is_ours(ref):
            return await self.find(name)
        async with self._pulls.setdefault(str(ref), asyncio.Lock()):
            wanted = policy or reference.default_policy(name)
            present = str(ref) in index.read(self.path)
            if wanted == "Never" and not present:
                raise ImageError(_NEVER.format(image=name))
            if wanted == "Never" or (wanted == "IfNotPresent" and present):
                return self.resolve(name)
            return await self._pull(ref, progress or Progress(), credentials, insecure=insecure)

    async def load(
        self, path: Path, *, name: str = "", progress: Progress | None = None
    ) -> tuple[Image, ...]:
        """Return the images that were in the archive or layout at *path*; *name*: for one without any.

        Raises:
            ImageError: it is none, or not to be trusted; the store is as it was.
        """
        seen = progress or Progress()
        async with self._busy():
            opened = await in_stoppable_thread(
                lambda beat: archive.read(path, self._content, self._platform, beat), seen.advance
            )

            async def fetch(blob: Descriptor, tell: Heartbeat) -> None:
                await in_stoppable_thread(lambda beat: opened.fetch(blob, beat), tell)

            offers = {_name_of(offer, name, path): offer.descriptor for offer in opened.offers}
            for descriptor in {each.digest: each for each in offers.values()}.values():
                await self._bring(descriptor, fetch, seen)
            await in_thread(self._name, offers)
        return tuple(self.resolve(each) for each in offers)

    async def remove(self, name: str) -> Image:
        """Forget the reference, and remove what no other one needs. An id stands for all its references.

        Raises:
            ImageError: it is not there, or a lab runs a container of it.
        """
        return await in_thread(self._remove, name)

    async def lend(self, image: Image) -> Loan:
        """Return the image's layers, for one container. See `images`.

        Raises:
            ImageError: a layer is missing.
            KernelError: this user may not mount.
        """
        if not image.layers:
            return Loan(-1, (), ())
        return await in_thread(self._lend, image)

    def collect(self) -> None:
        """Remove what has no reference, unless somebody is just bringing something."""
        with self._content.alone() as alone:
            if alone:
                with self._content.locked():
                    self._collect()

    async def _pull(
        self, ref: Reference, progress: Progress, credentials: Credentials | None, *, insecure: bool
    ) -> Image:
        async with (
            self._busy(),
            registry.connect(ref, self._content, credentials=credentials, insecure=insecure) as remote,
        ):
            descriptor = await remote.resolve()
            await self._bring(descriptor, remote.fetch, progress)
            await in_thread(self._name, {str(ref): descriptor})
        return self.resolve(str(ref))

    @asynccontextmanager
    async def _busy(self) -> AsyncIterator[None]:
        """Keep garbage; when this ends badly, collect what has become some."""
        whole = False
        held = self._content.busy()
        await in_thread(held.__enter__)
        try:
            yield
            whole = True
        finally:
            held.__exit__(None, None, None)
            if not whole:
                await in_thread(self.collect)

    async def _bring(self, top: Descriptor, fetch: _Fetch, progress: Progress) -> None:
        """Bring an image's blobs and unpack its layers."""
        descriptor = top
        for _ in range(NESTED_INDEXES_MAX):
            found = await self._brought(descriptor, fetch)
            if isinstance(found, Manifest):
                await self._bring_layers(found, fetch, progress)
                return
            descriptor = manifest.choose(found, self._platform)
        raise manifest.malformed("index", "nested")

    async def _brought(self, descriptor: Descriptor, fetch: _Fetch) -> "Manifest | manifest.Index":
        if descriptor.size_bytes > manifest.DOCUMENT_BYTES_MAX:
            raise manifest.malformed("manifest", f"{descriptor.size_bytes} bytes")
        await fetch(descriptor, lambda _: None)
        document = await in_thread(self._content.document, descriptor.digest)
        return manifest.parse(document, descriptor.media_type)

    async def _bring_layers(self, found: Manifest, fetch: _Fetch, progress: Progress) -> None:
        await fetch(found.config, lambda _: None)
        document = await in_thread(self._content.document, found.config.digest)
        layers = manifest.layers_of(found, manifest.parse_config(document))
        places = asyncio.Semaphore(LAYERS_AT_ONCE)
        for layer in layers:
            progress.layer(layer.digest, layer.size_bytes)
        with _first_of_group():
            async with asyncio.TaskGroup() as group:
                for layer in {layer.diff_id: layer for layer in layers}.values():
                    group.create_task(self._bring_layer(layer, places, fetch, progress))
        if self._content.whiteouts is Whiteouts.NAMES and layers:
            diff_ids = tuple(layer.diff_id for layer in layers)
            await in_thread(self._content.flatten, found.config.digest, diff_ids)

    async def _bring_layer(
        self, layer: Layer, places: asyncio.Semaphore, fetch: _Fetch, progress: Progress
    ) -> None:
        blob = Descriptor(layer.media_type, layer.digest, layer.size_bytes)
        seen = progress.layer(layer.digest, layer.size_bytes)
        async with places:
            seen.begin("download", layer.size_bytes)
            await fetch(blob, seen.advance)
            seen.begin("unpack", 0)
            await in_stoppable_thread(
                lambda beat: self._content.unpack(blob, layer.diff_id, beat), seen.advance
            )
            seen.begin("done", 0)

    def _name(self, images: dict[str, Descriptor]) -> None:
        with self._content.locked():
            index.write(self.path, index.read(self.path) | images)

    def _resolve(self, name: str) -> tuple[Image, ConfigFile]:
        named = index.read(self.path)
        if reference.is_digest(name):
            return self._by_id(name, named)
        ref = reference.parse(name)
        if not builtin.is_ours(ref) and str(ref) not in named:
            raise ImageError(_ABSENT.format(image=name))
        return self._named(ref, named)

    def _named(self, ref: Reference, named: dict[str, Descriptor]) -> tuple[Image, ConfigFile]:
        if builtin.is_ours(ref):
            return self._builtin(ref, named)
        return self._image(ref, named[str(ref)])

    def _by_id(self, id_: str, named: dict[str, Descriptor]) -> tuple[Image, ConfigFile]:
        for each in named:
            found = self._resolve(each)
            if found[0].id == id_:
                return found
        for ref in builtin.references():
            found = self._builtin(ref, named)
            if found[0].id == id_:
                return found
        raise ImageError(_ABSENT.format(image=id_))

    def _builtin(self, ref: Reference, named: dict[str, Descriptor]) -> tuple[Image, ConfigFile]:
        """Return an image of the lab's own; the first time, or if it has changed, its files are written."""
        built = builtin.build(ref)
        if built is None:
            names = ", ".join(each.familiar for each in builtin.references())
            raise ImageError(_NO_BUILTIN.format(image=ref.familiar, names=names))
        if (known := named.get(str(ref))) is None or known.digest != built.descriptor.digest:
            self._install(built)
        image, config = self._image(ref, built.descriptor)
        return replace(image, is_view_of_usr=True, binds=builtin.binds()), config

    def _install(self, built: builtin.Built) -> None:
        with self._content.busy():
            for blob in built.blobs.values():
                self._content.put(blob)
            found = manifest.parse(built.blobs[built.descriptor.digest])
            assert isinstance(found, Manifest)
            for layer in found.layers:
                self._content.unpack(layer, layer.digest)
            self._name({str(built.reference): built.descriptor})

    def _image(self, ref: Reference, top: Descriptor) -> tuple[Image, ConfigFile]:
        key = (str(ref), top.digest)
        if key not in self._known:
            self._known[key] = self._read(ref, top)
        return self._known[key]

    def _read(self, ref: Reference, top: Descriptor) -> tuple[Image, ConfigFile]:
        found = self._path_to_manifest(top)[1]
        config = manifest.parse_config(self._content.document(found.config.digest))
        image = Image(
            reference=str(ref),
            id=found.config.digest,
            repo_digest=f"{ref.repository}@{top.digest}",
            config=config.config,
            layers=manifest.layers_of(found, config),
            created=config.created,
            architecture=config.platform.architecture,
        )
        return image, config

    def _path_to_manifest(self, top: Descriptor) -> tuple[set[str], Manifest]:
        """Return the manifest for this machine, and the digests of the documents on the way to it."""
        descriptor, passed = top, {top.digest}
        for _ in range(NESTED_INDEXES_MAX):
            found = manifest.parse(self._content.document(descriptor.digest), descriptor.media_type)
            if isinstance(found, Manifest):
                return passed, found
            descriptor = manifest.choose(found, self._platform)
            passed.add(descriptor.digest)
        raise manifest.malformed("index", "nested")

    def _remove(self, name: str) -> Image:
        image = self.resolve(name)
        gone = self._names_of(image) if reference.is_digest(name) else {image.reference}
        with self._content.locked():
            named = index.read(self.path)
            remaining = {each: descriptor for each, descriptor in named.items() if each not in gone}
            self._refuse_if_used(image, remaining)
            index.write(self.path, remaining)
        self.collect()
        return image

    def _names_of(self, image: Image) -> set[str]:
        return {each for each in index.read(self.path) if self.resolve(each).id == image.id}

    def _refuse_if_used(self, image: Image, remaining: dict[str, Descriptor]) -> None:
        _, layers, flats = self._reachable(remaining)
        for layer in image.layers:
            if layer.diff_id not in layers and is_in_use(self._content.layer(layer.diff_id)):
                raise ImageError(_IN_USE.format(image=image.reference))
        if image.id not in flats and is_in_use(self._content.flat(image.id)):
            raise ImageError(_IN_USE.format(image=image.reference))

    def _collect(self) -> None:
        """What is damaged loses its name as well: it can only be brought anew."""
        named = index.read(self.path)
        whole = {name: top for name, top in named.items() if self._is_whole(name, top)}
        if whole != named:
            logger.warning("damaged images were dropped: %s", ", ".join(sorted(named.keys() - whole.keys())))
            index.write(self.path, whole)
        self._content.collect(*self._reachable(whole))

    def _is_whole(self, name: str, top: Descriptor) -> bool:
        try:
            self._path_to_manifest(top)
            image, _ = self._read(reference.parse(name), top)
        except ImageError:
            return False
        return all(self._content.layer(layer.diff_id).is_dir() for layer in image.layers)

    def _reachable(self, named: dict[str, Descriptor]) -> tuple[set[str], set[str], set[str]]:
        """Return the blobs, layers and images (by id) that the references lead to."""
        blobs: set[str] = set()
        layers: set[str] = set()
        images: set[str] = set()
        for name, top in named.items():
            passed, found = self._path_to_manifest(top)
            image, _ = self._image(reference.parse(name), top)
            blobs |= passed | {found.config.digest} | {each.digest for each in found.layers}
            layers |= {layer.diff_id for layer in image.layers}
            images.add(image.id)
        return blobs, layers, images

    def _lend(self, image: Image) -> Loan:
        flat = self._content.whiteouts is Whiteouts.NAMES
        with self._content.busy():
            if flat:
                diff_ids = tuple(layer.diff_id for layer in image.layers)
                directories = [self._content.flatten(image.id, diff_ids)]
            else:
                directories = [self._content.layer(layer.diff_id) for layer in reversed(image.layers)]
            return self._hold(image, list(dict.fromkeys(directories)))

    def _hold(self, image: Image, directories: list[Path]) -> Loan:
        held: list[int] = []
        try:
            for directory in directories:
                held.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                fcntl.flock(held[-1], fcntl.LOCK_SH)
            held.append(detached_mounts.clone(str(directories[0].parent), recursive=False))
        except (OSError, KernelError) as error:
            for fd in held:
                os.close(fd)
            if isinstance(error, FileNotFoundError):
                raise ImageError(_LAYER_GONE.format(image=image.reference)) from None
            raise
        lowers = tuple(f"{overlay.PLACE}/{directory.name}" for directory in directories)
        return Loan(held[-1], lowers, tuple(held))


@contextmanager
def _first_of_group() -> Iterator[None]:
    """Raise one error for several layers': a person mends one at a time."""
    try:
        yield
    except BaseExceptionGroup as group:
        expected, bugs = group.split(ImageError)
        if bugs is not None or expected is None:
            raise
        error = expected.exceptions[0]
        assert isinstance(error, ImageError)
        raise error from None


def _name_of(offer: archive.Offer, name: str, path: Path) -> str:
    if name:
        return str(reference.parse(name))
    if offer.name:
        return offer.name
    stem = path.resolve().name.partition(".")[0].lower()
    try:
        return str(reference.parse(stem))
    except ImageError:
        raise ImageError(_NAMELESS.format(path=path)) from None


_ABSENT = Text(
    es='la imagen "{image}" no está en este ordenador: tráela con `kubelab image pull` o `... load`',
    en='the image "{image}" is not on this computer: bring it with `kubelab image pull` or `... load`',
)
_NEVER = Text(
    es='la imagen "{image}" no está en este ordenador, y con la política Never no se descarga',
    en='the image "{image}" is not on this computer, and with the pull policy Never it is not pulled',
)
_NO_BUILTIN = Text(
    es='failed to pull image "{image}": not found: el laboratorio tiene {names}',
    en='failed to pull image "{image}": not found: the lab has {names}',
)
_IN_USE = Text(
    es='la imagen "{image}" está en uso: borra antes los pods que la usan',
    en='the image "{image}" is in use: delete the pods that use it first',
)
_LAYER_GONE = Text(
    es='a la imagen "{image}" le falta una capa: bórrala y tráela de nuevo',
    en='the image "{image}" lacks a layer: remove it and bring it again',
)
_NAMELESS = Text(
    es="{path} no dice cómo se llama su imagen: indícalo con --name",
    en="{path} does not say what its image is called: tell it with --name",
)
