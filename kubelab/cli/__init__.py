"""The command line: one file a command, each importing what it needs only when it runs.

The package itself imports nothing: the servers and clients that measurements start are modules of it, too,
and should not carry a parser of options about.
"""


def run() -> int:
    """Run the command line and return its exit code."""
    from kubelab.cli import command_line

    return command_line.run()
