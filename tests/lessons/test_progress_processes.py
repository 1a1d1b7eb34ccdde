"""Several processes keep their progress in one file at once; none fails, and none loses what it was told."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from kubelab.lessons.progress import Event, Progress
from kubelab.lessons.record import Entry, LessonRecord
from kubelab.lessons.transfer import export

APP = """
import sys
from pathlib import Path
from kubelab.lessons.progress import Event, Progress

path, lesson, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Progress.open(path) as progress:
    progress.begin(lesson, {"LIM": "32M"}, "one", seed=lesson)
for number in range(count):
    with Progress.open(path) as progress:
        step = f"step-{number}"
        progress.show_hint(lesson, step, 1)
        progress.set_passed(lesson, step, True)
        progress.set_variables(lesson, {step: number})
        progress.complete(lesson)
        progress.note("shared/lesson", lesson, Event.OPENED, str(number))
"""

IMPORT = """
import sys
from pathlib import Path
from kubelab.lessons.progress import Progress
from kubelab.lessons.transfer import parse

text = Path(sys.argv[2]).read_text()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    with Progress.open(Path(sys.argv[1])) as progress:
        progress.merge(parse(text, "file"))
"""

KILLED = """
import sys
from pathlib import Path
from kubelab.lessons.progress import Progress

with Progress.open(Path(sys.argv[1])) as progress:
    progress.begin("a/b", {}, "one", seed="s")
    for number in range(1_000_000):
        step = f"step-{number}"
        progress.predict("a/b", step, "swap")
        progress.set_passed("a/b", step, True)
        print(number, flush=True)
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_at_once(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0


def test_apps_and_imports_at_once_lose_nothing_from_the_first_opening_on(tmp_path: Path) -> None:
    path, handed_in, count = tmp_path / "state" / "p.sqlite3", tmp_path / "class.json", 30
    theirs = Entry("2026-01-31 09:30:00.000001", "c/d", "one", Event.OPENED)
    handed_in.write_text(export([LessonRecord("c/d", "one", "s", {}, journal=(theirs,))], "json"))
    lessons = ("a/b", "e/f", "g/h")
    apps = [start(APP, path, lesson, count) for lesson in lessons]
    run_at_once(*apps, start(IMPORT, path, handed_in, count))
    with Progress.open(path) as progress:
        for lesson in lessons:
            recorded = progress.lesson(lesson)
            assert recorded is not None
            assert sum(step.passed for step in recorded.steps.values()) == count
            assert recorded.variables == {"LIM": "32M"} | {f"step-{n}": n for n in range(count)}
            (completion,) = progress.completions(lesson)
            assert (completion.steps, completion.hints) == (count, count)
        told = {(entry.step, entry.detail) for entry in progress.journal("shared/lesson")}
        assert told == {(lesson, str(number)) for lesson in lessons for number in range(count)}
        assert progress.journal("c/d") == (theirs,)


def test_two_apps_in_one_lesson_keep_what_either_did(tmp_path: Path) -> None:
    path, count = tmp_path / "p.sqlite3", 15
    run_at_once(start(APP, path, "a/b", count), start(APP, path, "a/b", count))
    with Progress.open(path) as progress:
        whats = [entry.what for entry in progress.journal("a/b")]
        assert (whats.count(Event.PASSED), whats.count(Event.HINT)) == (count, count)
        assert len(progress.completions("a/b")) == 1


def test_a_kill_at_any_moment_loses_nothing_that_was_told_and_leaves_nothing_half_done(
    tmp_path: Path,
) -> None:
    for round_ in range(4):
        path = tmp_path / f"{round_}.sqlite3"
        process = start(KILLED, path)
        assert process.stdout is not None
        last = [int(process.stdout.readline()) for _ in range(5 + 7 * round_)][-1]
        process.send_signal(signal.SIGKILL)
        later, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        # Its last line may be half a number, and its first the end of one that was read ahead, or none of it.
        last = max([last, *(int(line) for line in later.splitlines()[:-1] if line)])
        with Progress.open(path) as progress:
            recorded = progress.lesson("a/b")
            assert recorded is not None
            passed = {id_ for id_, step in recorded.steps.items() if step.passed}
            assert passed >= {f"step-{number}" for number in range(last + 1)}
            journal = progress.journal("a/b")
            assert {entry.step for entry in journal if entry.what is Event.PASSED} == passed
            assert {entry.step for entry in journal if entry.what is Event.PREDICTED} == set(recorded.steps)
