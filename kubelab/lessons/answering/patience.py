"""Asks what a file system may keep waiting for (FUSE, a network's), without the loop waiting for it.

A thread asks, and is waited for as long as the loop can be held. What takes longer is answered with what was
known before, and after a second with `Unseen`; nobody asks the same again as long as it takes. Nothing can
end a thread that waits in the kernel: it is a daemon, so that the program can end.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from kubelab.language import Text
from kubelab.lessons.observation import Unseen
from kubelab.lessons.question import Question

HELD_S = 0.015
OVERDUE_S = 1.0
KEPT_MAX = 64  # Answers that are known from before, of the questions that were asked last.

TOO_SLOW = Text("el sistema de archivos no responde", "the file system does not answer")


class _Asking:
    def __init__(self, act: Callable[[], Any]) -> None:
        self.started_s = time.monotonic()
        self.done = threading.Event()
        self.answer: Any = None
        self._act = act
        threading.Thread(target=self._run, name="answer", daemon=True).start()

    def _run(self) -> None:
        self.answer = self._act()
        self.done.set()


class Patience:
    """Not for several threads. `held_s` is how long `answer` may take."""

    def __init__(self, held_s: float = HELD_S, overdue_s: float = OVERDUE_S) -> None:
        self._held_s = held_s
        self._overdue_s = overdue_s
        self._asking: dict[Question[Any], _Asking] = {}
        self._known: dict[Question[Any], Any] = {}

    def answer(self, question: Question[Any], act: Callable[[], Any]) -> Any:
        """Return what *act* returns, or what it returned before; None while that is nothing. *act* must not
        raise."""
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = _Asking(act)
            asking.done.wait(self._held_s)
        if asking.done.is_set():
            del self._asking[question]
            self._keep(question, asking.answer)
            return asking.answer
        if time.monotonic() - asking.started_s > self._overdue_s:
            return Unseen(TOO_SLOW)
        return self._known.get(question)

    def _keep(self, question: Question[Any], answer: Any) -> None:
        self._known.pop(question, None)
        self._known[question] = answer
        if len(self._known) > KEPT_MAX:
            del self._known[next(iter(self._known))]
