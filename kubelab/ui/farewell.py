"""What is seen while the lab is taken down, if that takes over a second."""

from collections.abc import Iterable
from typing import ClassVar

from textual.widget import Widget
from textual.widgets import Static

from kubelab.ui import words
from kubelab.ui.lab_screen import LabScreen


class FarewellScreen(LabScreen):
    DEFAULT_CSS = """
    FarewellScreen #farewell { height: 1fr; content-align: center middle; color: $primary; }
    """
    KEYS: ClassVar = ()

    def contents(self) -> Iterable[Widget]:
        yield Static(self.say(words.TAKING_DOWN), id="farewell", markup=False)
