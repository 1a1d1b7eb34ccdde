"""Answers `KeyIn` from the lab that runs the store."""

from kubelab.cluster.errors import LabError
from kubelab.cluster.store.service import StoreError
from kubelab.language import Text
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.checks.store_key import KeyIn, StoredKey
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen


@ask.register
async def _(question: KeyIn, lab: LabPort) -> StoredKey | Unseen:
    try:
        kv = await lab.stored(question.key.encode(), question.member)
    except (StoreError, LabError) as refusal:
        return Unseen(Text(f"el almacén no responde: {refusal}", f"the store does not answer: {refusal}"))
    if kv is None:
        return StoredKey()
    value = kv.value.decode(errors="backslashreplace")
    return StoredKey(value, kv.version, kv.create_revision, kv.mod_revision, kv.lease)
