"""What the learner has done: steps passed, hints seen, where they are, and the variables drawn for them.

One SQLite file under the XDG state directory; every call is one transaction, so SIGKILL loses nothing.
"""

from pathlib import Path


class Progress:
    @classmethod
    def open(cls, path: Path | None = None) -> "Progress":
        """Open or create the file (default: `kubelab/progress.sqlite3` under XDG_STATE_HOME).

        Raises:
            LabError: it cannot be written, or is no progress file.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
