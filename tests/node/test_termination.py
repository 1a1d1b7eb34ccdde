"""What is taken for a container's message: the end of its log, if it left none and asks for that."""

from pathlib import Path

import pytest

from kubelab.cluster.node.termination import LOG_BYTES_MAX, LOG_LINES_MAX, end_of_log, falls_back_to_log


@pytest.mark.parametrize(
    ("policy", "code", "message", "falls_back"),
    [
        ("FallbackToLogsOnError", 1, "", True),
        ("FallbackToLogsOnError", 1, "said", False),
        ("FallbackToLogsOnError", 0, "", False),
        ("File", 1, "", False),
    ],
)
def test_only_who_asks_for_it_and_failed_without_a_word(
    policy: str, code: int, message: str, *, falls_back: bool
) -> None:
    assert falls_back_to_log({"terminationMessagePolicy": policy}, code, message) is falls_back


def log(path: Path, texts: list[str], tag: str = "F") -> Path:
    path.write_text("".join(f"2026-01-01T00:00:00Z stdout {tag} {text}\n" for text in texts))
    return path


def test_the_end_of_the_log_is_what_was_written(tmp_path: Path) -> None:
    assert end_of_log(log(tmp_path / "log", ["one", "two"])) == "one\ntwo\n"
    assert end_of_log(log(tmp_path / "log", ["one", "two"], tag="P")) == "onetwo"
    assert end_of_log(tmp_path / "nothing") == ""


def test_it_is_bounded_in_lines_and_bytes(tmp_path: Path) -> None:
    many = end_of_log(log(tmp_path / "log", [str(number) for number in range(1000)]))
    assert many.splitlines()[0] == str(1000 - LOG_LINES_MAX)
    assert many.splitlines()[-1] == "999"
    assert len(end_of_log(log(tmp_path / "log", ["x" * 9000] * 50))) == LOG_BYTES_MAX
