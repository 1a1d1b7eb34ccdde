"""What the ConfigMaps and Secrets of a kubelet's pods cost in requests."""

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.node.object_cache import OBJECTS_KEPT, ObjectCache
from kubelab.cluster.objects import CONFIGMAPS, Object


async def create(api: LocalApi, name: str, text: str) -> Object:
    return await api.create(
        CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}, "data": {"text": text}}
    )


async def change(api: LocalApi, configmap: Object, text: str) -> Object:
    return await api.update(CONFIGMAPS, configmap | {"data": {"text": text}})


async def test_an_answer_is_good_for_as_long_as_the_asker_allows(api: LocalApi, clock: VirtualClock) -> None:
    cache = ObjectCache(api, clock)
    old = await create(api, "settings", "old")
    assert await cache.get(CONFIGMAPS, "default", "settings") == old
    new = await change(api, old, "new")
    await clock.advance(4.9)
    assert await cache.get(CONFIGMAPS, "default", "settings", max_age_s=5) == old
    await clock.advance(0.1)
    assert await cache.get(CONFIGMAPS, "default", "settings", max_age_s=5) == new


async def test_who_allows_no_age_gets_the_newest(api: LocalApi, clock: VirtualClock) -> None:
    cache = ObjectCache(api, clock)
    old = await create(api, "settings", "old")
    await cache.get(CONFIGMAPS, "default", "settings")
    new = await change(api, old, "new")
    assert await cache.get(CONFIGMAPS, "default", "settings") == new


async def test_that_there_is_none_is_an_answer_too(api: LocalApi, clock: VirtualClock) -> None:
    cache = ObjectCache(api, clock)
    assert await cache.get(CONFIGMAPS, "default", "settings") is None
    made = await create(api, "settings", "late")
    assert await cache.get(CONFIGMAPS, "default", "settings", max_age_s=5) is None
    assert await cache.get(CONFIGMAPS, "default", "settings") == made


async def test_the_oldest_question_is_forgotten_first(api: LocalApi, clock: VirtualClock) -> None:
    cache = ObjectCache(api, clock)
    for number in range(OBJECTS_KEPT + 1):
        await cache.get(CONFIGMAPS, "default", f"settings-{number}")
    first, _ = [await create(api, f"settings-{number}", "late") for number in range(2)]
    assert await cache.get(CONFIGMAPS, "default", "settings-1", max_age_s=5) is None
    assert await cache.get(CONFIGMAPS, "default", "settings-0", max_age_s=5) == first
