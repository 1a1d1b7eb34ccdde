"""What all tests share: those of the kernel are skipped without root, and CI fails when any was skipped."""

import contextlib
import faulthandler
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says more about what else the machine does than about our code.
hypothesis.settings.register_profile(
    "kubelab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kubelab")
# Programs in Go run some hundred times here, kubectl for one, and spend a fifth of their time on collecting
# garbage of which they leave little.
os.environ.setdefault("GOGC", "400")
# A shell that starts us in the background has these ignored, and what is ignored stays so in the shells that
# tests start: there Ctrl+C would do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
# Directories whose tests take half a minute each: begun last, one of them would keep all workers waiting.
LONG_TESTS = ("docs", "plain", "e2e")

# What is left of a test at its time-out is asked to end once. Should that hang too, its worker ends so much
# later, with what its threads were at, and the test has failed: nobody waits for it for hours.
ENDING_S = 60


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for what makes Unix sockets: their paths end at 107 bytes (unix(7)), which `tmp_path` may
    nearly use up by itself."""
    with tempfile.TemporaryDirectory(prefix="kl-") as place:
        yield Path(place)


class Watchdog:
    """Ends this process when a test has hung. *errors_fd* is where it says so."""

    def __init__(self, errors_fd: int, timeout_s: float) -> None:
        self._errors_fd = errors_fd
        self._timeout_s = timeout_s

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        marker = item.get_closest_marker("timeout")
        timeout_s = marker.args[0] if marker else self._timeout_s
        faulthandler.dump_traceback_later(timeout_s + ENDING_S, exit=True, file=self._errors_fd)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()


def pytest_configure(config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        errors_fd = os.dup(2)
    config.pluginmanager.register(Watchdog(errors_fd, float(config.getini("timeout"))))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-record", action="store_true", help="write what kubectl prints into its transcripts"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in LONG_TESTS)
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: run `sudo make test`"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and os.environ.get("KUBELAB_NO_SKIPS") and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{skipped} tests were skipped where none may be (KUBELAB_NO_SKIPS)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
