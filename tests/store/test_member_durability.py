"""A process with three members is killed by SIGKILL in the middle of its writes: what it told is there."""

import asyncio
import subprocess
import sys
from pathlib import Path

from member_cluster import store_members

from kubelab.cluster.store.requests import Range, prefix_end

WRITER = """
import asyncio, sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from member_cluster import store_members, surely
from kubelab.cluster.store.requests import Put


async def client(members, number):
    member = members[number % len(members)]
    for count in range(1 << 30):
        key = b"key/%d/%d" % (number, count)
        await surely(lambda: member.put(Put(key, bytes(200))))
        print(key.decode(), flush=True)


async def main():
    async with store_members(Path(sys.argv[1]), snapshot_entries=50, catch_up_entries=10) as cluster:
        await asyncio.gather(*(client(list(cluster.running.values()), number) for number in range(8)))


asyncio.run(main())
"""
WRITES = 400


def _write_until_killed(directory: Path) -> set[str]:
    """Return the keys of which the process told that they are written."""
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), here], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = {next(writer.stdout).strip() for _ in range(WRITES)}
        writer.kill()
        return told | {line.strip() for line in writer.stdout if line.endswith("\n")}


async def test_every_acknowledged_write_is_there_after_sigkill(tmp_path: Path) -> None:
    told = await asyncio.to_thread(_write_until_killed, tmp_path)
    async with store_members(tmp_path) as cluster:
        leader = await cluster.leader()
        found = await leader.range(Range(b"key/", prefix_end(b"key/")))
        assert told <= {kv.key.decode() for kv in found.kvs}
        await cluster.caught_up()
        assert len({await member.hash_kv() for member in cluster.running.values()}) == 1
