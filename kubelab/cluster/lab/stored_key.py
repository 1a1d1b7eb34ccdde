"""What the cluster's store has under a key, looked up past the API servers: for whoever explains the store.

Left out: several keys at once, and keys of the past.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.master import Master
from kubelab.cluster.lab.raft_member import RaftMember
from kubelab.cluster.lab.store_engine import StoreEngine
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.raft.messages import NOBODY
from kubelab.cluster.store.requests import KeyValue, Range
from kubelab.cluster.store.service import KeyValueService, NoLeaderError
from kubelab.language import Text

ANSWER_S = 2.0  # Who does not answer by then has lost its majority, or is stopped.


async def stored_key(
    masters: Mapping[str, Master], machines: Mapping[str, NamespacedMachine], key: bytes, member: str = ""
) -> KeyValue | None:
    """Return what the members agree on, or what the *member* on that master has itself, however old.

    *machines* are the masters' own that have power.

    Raises:
        LabError: there is no such member, or it does not answer.
        StoreError: a majority does not answer.
    """
    name = member or max(masters, key=lambda each: _standing(masters[each]))
    if name not in masters:
        raise LabError(_NO_MEMBER.format(name=name, names=", ".join(masters)))
    if name not in machines:
        raise LabError(_SILENT.format(name=name))
    request = Range(key, serializable=bool(member))
    try:
        async with asyncio.timeout(ANSWER_S), _opened(masters[name].store, machines[name]) as store:
            if not member:
                _check_led(masters[name].store)
            answer = await store.range(request)
    except (ConnectionError, TimeoutError) as error:
        raise LabError(_SILENT.format(name=name)) from error
    return answer.kvs[0] if answer.kvs else None


@asynccontextmanager
async def _opened(engine: StoreEngine, machine: NamespacedMachine) -> AsyncIterator[KeyValueService]:
    """A member of the lab's own is asked even if it is alone, which it could not be as an API server's."""
    if not isinstance(engine, RaftMember):
        async with engine.opened(machine) as service:
            yield service
    elif engine.store and engine.store.answers:
        yield engine.store
    else:
        raise ConnectionRefusedError


def _check_led(engine: StoreEngine) -> None:
    """Tell at once where a majority would be waited for in vain."""
    view = engine.view()
    if view and view.raft.leader == NOBODY:
        raise NoLeaderError


def _standing(master: Master) -> tuple[int, bool, bool]:
    """Who knows the newest term, and its leader, is asked first; of a real etcd, whose API server answers."""
    view = master.store.view()
    term, is_led = (view.raft.term, view.raft.leader != NOBODY) if view else (0, False)
    return term, is_led, master.answers


_NO_MEMBER = Text(
    es="El almacén no tiene ningún miembro en {name}: elige uno de {names}.",
    en="The store has no member on {name}: choose one of {names}.",
)
_SILENT = Text(
    es="El miembro del almacén en {name} no responde: mira `kubelab fault list`.",
    en="The store's member on {name} does not answer: look at `kubelab fault list`.",
)
