"""The tokens that a kubelet gets for its pods, and when it gets them anew."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from kubelab.cluster.apiserver.authentication.jwt import unverified
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.node.account_tokens import AccountTokens, Token
from kubelab.cluster.node.environment import Place, Sources
from kubelab.cluster.node.volumes import VolumeError, volumes_of
from kubelab.cluster.objects import PODS, SERVICEACCOUNTS, Object, uid_of
from kubelab.cluster.runtime.cri import FilesVolume

PLACE = Place("minion-1", IPv4Address("192.168.7.2"), None)
HOUR = ("", 3600)


@pytest.fixture
async def pod(api: LocalApi, make_pod: Callable[..., Object]) -> Object:
    """A pod whose one volume projects its account's token."""
    await api.create(SERVICEACCOUNTS, {"metadata": {"name": "web", "namespace": "default"}})
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    volume = {"name": "access", "projected": {"sources": [source], "defaultMode": 0o644}}
    mounts = [{"name": "access", "mountPath": "/access"}]
    container = {"name": "web", "image": "kubelab/shell:1", "volumeMounts": mounts}
    wanted = make_pod(serviceAccountName="web", volumes=[volume], containers=[container])
    del wanted["metadata"]["uid"]
    return await api.create(PODS, wanted)


def test_a_token_is_renewed_when_a_fifth_of_its_time_is_left_or_it_is_a_day_old(clock: VirtualClock) -> None:
    now = clock.now()
    hour, year = (Token("", now, now + timedelta(days=days)) for days in (1 / 24, 365))
    assert not hour.wants_renewal(now + timedelta(minutes=48))
    assert hour.wants_renewal(now + timedelta(minutes=49))
    assert not year.wants_renewal(now + timedelta(hours=24))
    assert year.wants_renewal(now + timedelta(hours=25))


async def test_a_pods_token_is_bound_to_it_and_renewed_in_time(
    api: LocalApi, clock: VirtualClock, pod: Object
) -> None:
    tokens = AccountTokens(api, clock)
    first = (await tokens.of(pod))[HOUR]
    assert isinstance(first, str)
    claims = unverified(first)["kubernetes.io"]
    assert claims["pod"] == {"name": "web", "uid": uid_of(pod)}
    await clock.advance(47 * 60)
    assert (await tokens.of(pod))[HOUR] == first
    await clock.advance(2 * 60)
    assert (await tokens.of(pod))[HOUR] != first


async def test_a_token_is_shown_as_long_as_it_is_good(
    api: LocalApi, clock: VirtualClock, pod: Object
) -> None:
    """When no new one can be had."""
    tokens = AccountTokens(api, clock)
    first = (await tokens.of(pod))[HOUR]
    await api.delete(SERVICEACCOUNTS, "default", "web")
    await clock.advance(59 * 60)
    assert (await tokens.of(pod))[HOUR] == first
    await clock.advance(2 * 60)
    assert isinstance((await tokens.of(pod))[HOUR], ApiError)


async def test_the_volume_has_the_token_or_says_why_not(
    api: LocalApi, clock: VirtualClock, pod: Object
) -> None:
    tokens = await AccountTokens(api, clock).of(pod)
    (volume,) = volumes_of(pod, Sources(tokens=tokens), PLACE)
    assert isinstance(volume, FilesVolume)
    assert volume.files["token"].content.decode() == tokens[HOUR]
    await api.delete(SERVICEACCOUNTS, "default", "web")
    refused = await AccountTokens(api, clock).of(pod)
    with pytest.raises(VolumeError, match='failed to fetch token: serviceaccounts "web" not found'):
        volumes_of(pod, Sources(tokens=refused), PLACE)
