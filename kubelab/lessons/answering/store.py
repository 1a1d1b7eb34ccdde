"""Answers `StoreQuestion` from the lab that runs the store."""

from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.answering.answer import look
from kubelab.lessons.checks.store import StoreQuestion
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen


@look.register
def _(question: StoreQuestion, lab: LabPort) -> StoreState | Unseen:
    return lab.store() or Unseen(
        Text("aquí no hay un almacén que se pueda mirar", "there is no store here that can be looked into")
    )
