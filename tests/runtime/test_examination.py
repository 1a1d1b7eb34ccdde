"""What an examination calls damaged first is what explains the rest."""

import socket

from kubelab.cluster.runtime.examination import AsBuilt

BELOW = "1000 999 0:50 / /gone/below rw - tmpfs none rw\n"
ABOVE = "999 30 0:49 / /gone rw - tmpfs none rw\n"


def test_a_mount_that_is_gone_is_named_before_those_that_went_with_it() -> None:
    now = AsBuilt.now(socket.gethostname(), {}, ())
    before = AsBuilt(now.name, {}, {}, now.mounts | {BELOW, ABOVE}, {})
    assert before.damages()[0] == "/gone is not mounted"
