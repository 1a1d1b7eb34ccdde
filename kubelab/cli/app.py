"""`kubelab` without a command: the app, and a lab that comes up behind its home screen."""

import os

from kubelab.cli.interrupt import interruptible
from kubelab.cli.log import log_to_file
from kubelab.cli.port import LearnerPort, first_language
from kubelab.cli.rootless import become_root
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.lab import start_lab
from kubelab.language import Text
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.progress import Progress


def open_app(config: LabConfig) -> int:
    """Run the app until the learner quits; return the exit code.

    Raises:
        LabError: this is no terminal, another lab is running, or a track is invalid.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise LabError(_NO_TERMINAL)
    become_root()
    log_to_file()
    return interruptible(_run(config)) or 0


async def _run(config: LabConfig) -> int:
    from kubelab.ui.app import run_app

    catalog = Catalog.load()
    with Progress.open() as progress:
        async with start_lab(config) as lab:
            return await run_app(LearnerPort(lab, catalog, progress), first_language(progress))


_NO_TERMINAL = Text(
    es="La aplicación necesita un terminal: ejecuta `kubelab` en uno, o `kubelab up` sin aplicación.",
    en="The app needs a terminal: run `kubelab` in one, or `kubelab up` for the lab alone.",
)
