#!/usr/bin/env python3
"""`kubelab` on a machine: has the lab run the command that was typed there (see `errand`), and waits for it.

It is put on every machine as it stands, where there is nothing but the standard library.
"""

import json
import os
import signal
import socket
import sys

ADDRESS = "\0kubelab"  # unix(7): an abstract name is its network namespace's, and the machine has its own.
PASSED_ON = ("KUBELAB_LANG", "LANG", "TERM", "NO_COLOR", "COLUMNS", "LINES")
ANSWER_BYTES_MAX = 4096
INTERRUPT = b"interrupt"


def main(arguments: list[str]) -> int:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as lab:
        try:
            lab.connect(ADDRESS)
        except OSError:
            sys.stderr.write("kubelab: el laboratorio no responde / the lab does not answer\n")
            return 1
        errand = json.dumps({"argv": arguments, "env": environment}).encode()
        socket.send_fds(lab, [errand], [0, 1, 2])
        signal.signal(signal.SIGINT, lambda *_: lab.send(INTERRUPT))
        answer = lab.recv(ANSWER_BYTES_MAX)
        return int(answer) if answer else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
