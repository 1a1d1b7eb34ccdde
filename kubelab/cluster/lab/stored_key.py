"""What the cluster's store has under a key, looked up past the API servers: for whoever explains the store.

Left out: several keys at once, and keys of the past.
"""

import asyncio
from collections.abc import Mapping

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.master import Master
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.raft.messages import NOBODY
from kubelab.cluster.store.requests import KeyValue, Range
from kubelab.language import Text

ANSWER_S = 3.0  # A member without a majority answers later, and nothing of use.


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
    try:
        async with asyncio.timeout(ANSWER_S), masters[name].store.opened(machines[name]) as store:
            answer = await store.range(Range(key, serializable=bool(member)))
    except (ConnectionError, TimeoutError) as error:
        raise LabError(_SILENT.format(name=name)) from error
    return answer.kvs[0] if answer.kvs else None


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
