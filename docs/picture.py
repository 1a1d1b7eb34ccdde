"""Take the README's picture: the real app on a real lab, its lesson on pods typed into a real shell.

    sudo .venv/bin/python docs/picture.py

writes docs/lesson.svg.
"""

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from kubelab.cli.kubectl import kubectl_path
from kubelab.cli.port import LearnerPort
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import start_lab
from kubelab.lessons.catalog import Catalog
from kubelab.lessons.progress import Progress
from kubelab.ui.app import KubelabApp

SIZE = (160, 45)
PATIENCE_S = 30
PREDICTED = "b"
TYPED = ("kubectl apply -f pod.yaml", "kubectl get pods", "ps -e -o pid,ppid,pidns,netns,args")
TARGET = Path(__file__).with_name("lesson.svg")


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = LabDirectory(Path(place) / "lab")
        with Progress.open(Path(place) / "progress.sqlite") as progress:
            async with start_lab(LabConfig(directory=directory, programs={"kubectl": kubectl_path()})) as lab:
                await lab.ready()
                app = KubelabApp(LearnerPort(lab, Catalog.load(), progress), "en")
                async with app.run_test(size=SIZE) as pilot:
                    await _learn(app, pilot)
                    TARGET.write_text(_without_remote_fonts(app.export_screenshot(title="kubelab")))


async def _learn(app: KubelabApp, pilot: Pilot[int]) -> None:
    await pilot.press("down", "enter")
    await _until(pilot, lambda: "root@minion-1" in _text(app))
    await pilot.press("f6", PREDICTED, "escape")
    for prompts, line in enumerate(TYPED, 1):
        await pilot.press(*line, "enter")
        await _until(pilot, lambda prompts=prompts: _text(app).count("root@minion-1") > prompts)
    await _until(pilot, lambda: "1/1" in _text(app))
    await pilot.pause(1.0)


def _text(app: KubelabApp) -> str:
    return re.sub(r"<[^>]+>", "", app.export_screenshot()).replace("&#160;", " ")


async def _until(pilot: Pilot[int], reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await pilot.pause(0.1)


def _without_remote_fonts(svg: str) -> str:
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    asyncio.run(main())
