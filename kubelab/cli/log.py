"""Where the lab writes what it noticed and got over: a file, for the screen is the learner's."""

import logging
from logging.handlers import RotatingFileHandler

import platformdirs

BYTES_MAX = 1_000_000


def log_to_file() -> None:
    """Write warnings to `lab.log` under the XDG state directory; one older file is kept.

    Where nothing can be written they are dropped: a lab is worth more than its log.
    """
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[_handler()],
    )


def _handler() -> logging.Handler:
    try:
        directory = platformdirs.user_log_path("kubelab", ensure_exists=True)
        return RotatingFileHandler(directory / "lab.log", maxBytes=BYTES_MAX, backupCount=1)
    except OSError:
        return logging.NullHandler()
