"""A program that ends badly, in the way that is asked for, by arguments or by the variables CRASH_*.

    crash [exit|segfault|oom|ignore-term|throw|close-stdout] [--code 1] [--after 0]

    exit          ends with the code (CRASH_CODE)
    segfault      reads address 0: signal 11, code 139
    oom           takes memory until the kernel ends it: signal 9, code 137, reason OOMKilled
    ignore-term   stays, and is deaf to SIGTERM: only SIGKILL ends it, after the grace period
    throw         ends with a traceback
    close-stdout  closes its output, and ends

--after N (CRASH_AFTER_S) lets N seconds pass first. CRASH_MODE is the first word. Until then, SIGTERM ends it
with code 143.
"""
# ruff: noqa: T201 - what it says is its output

import os
import signal
import sys
import time


def say(text: str) -> None:
    print(text, flush=True)


def end(code: int) -> None:
    say(f"ending with code {code}")
    sys.exit(code)


def segfault(code: int) -> None:
    import ctypes

    say("reading address 0")
    ctypes.string_at(0)


def oom(code: int) -> None:
    say("taking memory")
    taken = []
    while True:
        taken.append(bytearray(b"\x01" * (8 << 20)))


def ignore_term(code: int) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(1, b"SIGTERM: not listening\n"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say("staying")
    while True:
        time.sleep(3600)


def throw(code: int) -> None:
    raise RuntimeError("this is what the log of a bug looks like")


def close_stdout(code: int) -> None:
    say("closing the output")
    os.close(1)
    os._exit(code)


MODES = {
    "exit": end,
    "segfault": segfault,
    "oom": oom,
    "ignore-term": ignore_term,
    "throw": throw,
    "close-stdout": close_stdout,
}


def option(words: list[str], name: str, variable: str, default: str) -> float:
    """Return the option's number, which stands behind it or in the environment."""
    text = words[words.index(name) + 1] if name in words[:-1] else os.environ.get(variable, default)
    try:
        return float(text)
    except ValueError:
        sys.exit(f"crash: {name} {text}: not a number")


def main() -> None:
    words = sys.argv[1:]
    mode = words[0] if words and not words[0].startswith("-") else os.environ.get("CRASH_MODE", "exit")
    if mode not in MODES:
        sys.exit(f"crash: {mode}: one of {', '.join(MODES)} is expected")
    after_s = option(words, "--after", "CRASH_AFTER_S", "0")
    code = int(option(words, "--code", "CRASH_CODE", "1"))
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(143))
    if after_s > 0:
        say(f"{mode} in {after_s:g} s")
        time.sleep(after_s)
    MODES[mode](code)


if __name__ == "__main__":
    main()
