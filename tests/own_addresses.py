"""Addresses of 127.0.0.0/8 that are this process's alone: no port there can be somebody else's."""

import itertools
import os

_numbers = itertools.count(1)


def own_address() -> str:
    pid = os.getpid()
    return f"127.{pid >> 8 & 0xFF}.{pid & 0xFF}.{next(_numbers) % 250 + 2}"
