"""`kubelab` and `python -m kubelab`: choose the language, then hand over to the command line."""

import os
import sys


def main() -> None:
    """Run the command line. The language comes first: the help is written in it when `cli` is imported."""
    if sys.argv[1:2] == ["oci"]:
        # Other people's tools start it for each of their steps: it waits for no library.
        from kubelab.cluster.runtime.oci.__main__ import run as oci

        sys.exit(oci(sys.argv[2:]))
    if language := _asked_language(sys.argv[1:]):
        os.environ["KUBELAB_LANG"] = language
    from kubelab.cli import run

    sys.exit(run())


def _asked_language(arguments: list[str]) -> str | None:
    """Return the value of `--lang X` or `--lang=X` among the options before the command."""
    for position, argument in enumerate(arguments):
        if argument == "--lang":
            return next(iter(arguments[position + 1 :]), None)
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
        if not argument.startswith("-"):
            return None
    return None


if __name__ == "__main__":
    main()
