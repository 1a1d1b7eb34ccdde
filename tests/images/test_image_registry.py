"""Images come from a real registry, however awkward the way; what does not come whole leaves nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from image_files import ARCHITECTURE, OCI, directory, everything, made, sha256, tar, with_manifest
from local_registry import HTPASSWD, PASSWORD, USER, Awkward, TokenServer, push, registry, served

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.progress import Progress
from kubelab.cluster.images.reference import parse
from kubelab.cluster.images.registry import Credentials, connect, is_this_machine
from kubelab.cluster.images.store import ImageStore

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = tar([directory("etc"), ("etc/base", bytes(range(256)) * 2000)])
APP = made([BASE, tar([("app", b"1")])], "+zstd")
NEWER = made([BASE, tar([("app", b"2")])], "")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address(tmp_path_factory) -> AsyncIterator[str]:
    async with registry(tmp_path_factory.mktemp("registry")) as started:
        await push(started, "team/app", "1", APP)
        yield started


def app_of(store: ImageStore, name: str) -> bytes:
    return (store.path / "layers" / store.resolve(name).layers[-1].diff_id[7:] / "app").read_bytes()


async def test_an_image_is_pulled_with_its_layers_and_history(store, address):
    progress = Progress()
    image = await store.pull(f"{address}/team/app:1", progress=progress)
    assert image.id in APP.blobs
    assert image.repo_digest == f"{address}/team/app@{APP.manifest['digest']}"
    assert app_of(store, f"{address}/team/app:1") == b"1"
    assert {layer.stage for layer in progress.layers.values()} == {"done"}


async def test_a_tag_that_moves_is_followed_only_when_always_pulled(store, address):
    name = f"{address}/team/moving:1"
    await push(address, "team/moving", "1", APP)
    await store.pull(name)
    await push(address, "team/moving", "1", NEWER)
    await store.pull(name, "IfNotPresent")
    assert app_of(store, name) == b"1"
    await store.pull(name, "Never")
    assert app_of(store, name) == b"1"
    await store.pull(name, "Always")
    assert app_of(store, name) == b"2"
    store.collect()  # What the older one alone had is garbage now.
    assert len(list((store.path / "layers").iterdir())) == 2


async def test_never_means_not_even_once(store, address):
    with pytest.raises(ImageError, match="Never"):
        await store.pull(f"{address}/team/app:1", "Never")


async def test_what_has_not_changed_is_asked_for_but_not_taken_again(store, address):
    async with served(front := Awkward(address)) as place:
        await store.pull(f"{place}/team/app:1", "Always")
        front.asked.clear()
        await store.pull(f"{place}/team/app:1", "Always")
    assert front.asked == ["HEAD /v2/team/app/manifests/1"]


async def test_an_image_is_pulled_by_digest(store, address):
    image = await store.pull(f"{address}/team/app@{APP.manifest['digest']}")
    assert store.resolve(f"{address}/team/app@{APP.manifest['digest']}") == image
    with pytest.raises(ImageError, match="not found"):
        await store.pull(f"{address}/team/app@{sha256(b'another')}")


async def test_of_several_platforms_this_machines_is_pulled_and_no_blob_of_the_others(store, address):
    other = made([tar([("other", b"x")])])
    manifests = [
        {**other.manifest, "platform": {"os": "linux", "architecture": "mips"}},
        {**APP.manifest, "platform": {"os": "linux", "architecture": ARCHITECTURE}},
    ]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
    both = with_manifest(index, [*APP.blobs.values(), *other.blobs.values()], {}, [])
    await push(address, "team/both", "1", both)
    image = await store.pull(f"{address}/team/both:1")
    assert image.repo_digest.endswith(str(both.manifest["digest"]))
    held = {each.name for each in (store.path / "blobs/sha256").iterdir()}
    assert held == {digest[7:] for digest in (set(both.blobs) - set(other.blobs))}


async def test_only_one_of_two_pulls_of_the_same_image_downloads_it(store, address):
    async with served(front := Awkward(address)) as place:
        name = f"{place}/team/app:1"
        first, second = await asyncio.gather(*(store.pull(name, "IfNotPresent") for _ in range(2)))
    assert first == second
    assert len(front.ranges) == len(set(APP.blobs)) - 1


async def test_a_download_that_breaks_off_goes_on_where_it_was(store, address):
    async with served(front := Awkward(address, cuts=2)) as place:
        await store.pull(f"{place}/team/app:1")
    assert app_of(store, f"{place}/team/app:1") == b"1"
    assert any(wanted.startswith("bytes=") and wanted != "bytes=0-" for wanted in front.ranges)


async def test_a_forged_blob_is_refused_and_leaves_nothing(store, address):
    async with served(Awkward(address, forge=True)) as place:
        with pytest.raises(ImageError) as refusal:
            await store.pull(f"{place}/team/app:1")
    assert "forged" in refusal.value.sentence.en
    assert everything(store.path) == set()


async def test_a_pull_that_is_given_up_leaves_nothing(store, address):
    async with served(front := Awkward(address, hang=True)) as place:
        pull = asyncio.create_task(store.pull(f"{place}/team/app:1"))
        await front.hanging.wait()
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
    assert everything(store.path) == set()


async def test_a_redirect_to_another_host_takes_no_password_along(store, tmp_path, address):
    async with (
        served(content := Awkward(address)) as elsewhere,
        served(Awkward(address, elsewhere=elsewhere)) as front,
    ):
        await store.pull(f"{front}/team/app:1", credentials=Credentials("a", "b"))
    assert len(content.ranges) == len(APP.blobs) - 1


async def test_what_is_not_there_is_said_to_be_not_found(store, address):
    for name in ("team/app:2", "team/nothing:1"):
        with pytest.raises(ImageError) as refusal:
            await store.pull(f"{address}/{name}")
        assert "not found" in refusal.value.sentence.es
        assert name in refusal.value.sentence.en
    assert everything(store.path) == set()


async def test_a_registry_that_is_not_there_is_not_waited_for(store):
    with pytest.raises(ImageError, match=r"127\.0\.0\.1"):
        await store.pull("127.0.0.1:1/app:1")


async def test_a_manifest_that_does_not_end_is_not_read_to_its_end(store):
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": f"{OCI}.manifest.v1+json"})
        await answer.prepare(request)
        while request.method == "GET":
            await answer.write(bytes(1 << 20))
        return answer

    app = web.Application()
    app.router.add_get("/{path:.*}", endless)
    async with served(app) as place:
        with pytest.raises(ImageError):
            await store.pull(f"{place}/app:1")
    assert everything(store.path) == set()


async def test_a_login_is_asked_for_and_used(store, tmp_path):
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "basic", "path": str(tmp_path / "htpasswd")}}
    async with registry(tmp_path, auth) as place:
        header = "Basic bGVhcm5lcjpzZWNyZXQ="
        await push(place, "app", "1", APP, {"Authorization": header})
        for credentials in (None, Credentials(USER, "wrong")):
            with pytest.raises(ImageError, match="401"):
                await store.pull(f"{place}/app:1", credentials=credentials)
        assert everything(store.path) == set()
        await store.pull(f"{place}/app:1", credentials=Credentials(USER, PASSWORD))
    assert app_of(store, f"{place}/app:1") == b"1"


async def test_a_token_is_had_from_where_the_registry_says(store, tmp_path):
    tokens = TokenServer(tmp_path)
    app = web.Application()
    app.router.add_get("/token", tokens.answer)
    async with served(app) as tokens.address, registry(tmp_path, tokens.auth()) as place:
        pushing = {"Authorization": f"Bearer {tokens.token('app', ['pull', 'push'])}"}
        await push(place, "app", "1", APP, pushing)
        await store.pull(f"{place}/app:1")
        await store.pull(f"{place}/app:1", "Always", credentials=Credentials(USER, PASSWORD))
    assert app_of(store, f"{place}/app:1") == b"1"
    assert tokens.logins == [None, "Basic bGVhcm5lcjpzZWNyZXQ="]
    assert set(tokens.scopes) == {"repository:app:pull"}


@pytest.mark.parametrize(
    ("domain", "ours"),
    [("localhost:5000", True), ("127.3.2.1", True), ("[::1]:80", True), ("10.0.0.1", False), ("a.b", False)],
)
async def test_plain_http_is_for_this_machine_alone_unless_told(store, domain, ours):
    assert is_this_machine(domain) is ours
    async with connect(parse(f"{domain}/app"), store._content) as remote:
        assert remote._base.scheme == ("http" if ours else "https")
    async with connect(parse(f"{domain}/app"), store._content, insecure=True) as remote:
        assert remote._base.scheme == "http"
