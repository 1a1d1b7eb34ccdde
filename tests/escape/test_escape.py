"""What somebody inside tries to get out, from containers of several kinds and as root of a machine.

The attempts are in `attempts`, by name; each test names those that come through where it tries, and why that
is no way out.
"""

import asyncio
import os
import secrets
from pathlib import Path

import pytest
from outside import Outside, through

from kubelab.cluster.runtime.cri import Mount, Security

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

# Who may make a user namespace is root of it: what belongs to it is his to change.
OF_A_USER_NAMESPACE = {
    "make_a_user_namespace",
    "clone_into_a_user_namespace",
    "make_another_namespace",
    "enter_a_namespace",
    "mount_by_descriptors",
    "change_the_root",
    "name_the_host",
}
# Of a machine's own namespaces and cgroups, which end where the machine does. /proc and /sys are the kernel's
# and show its keys' names and timers; no sysctl of it can be written, see `linux.cgroup_programs`.
OF_A_MACHINE = OF_A_USER_NAMESPACE | {
    "make_a_cgroup",
    "write_to_a_cgroup",
    "mount_proc_anew",
    "mount_sysfs_anew",
    "open_other_knobs_in_proc",
}
MOUNTS = (Mount("/read-only", "/root", read_only=True),)


async def tried(
    node, outside: Outside, *words: str, pod: dict[str, object] | None = None, **fields: object
) -> set[str]:
    """Return the attempts that come through from a container."""
    sandbox = await node.pod(**pod or {})
    command = (*outside.arguments, *words)
    _, log = await node.run(sandbox, *command, env=outside.environment, mounts=MOUNTS, **fields)
    await node.runtime.remove_sandbox(sandbox.uid)
    return set(through("".join(line.split(" ", 2)[2] for line in log.splitlines(keepends=True))))


async def on_machine(machine, *argv: str, env: dict[str, str] | None = None) -> str:
    read_end, write_end = os.pipe()
    process = await machine.spawn(argv, env=env or {}, stdout=write_end)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as reader:  # noqa: ASYNC230, PTH123
        text = await asyncio.to_thread(reader.read)
    await process.wait()
    return text


async def test_nothing_comes_through_from_a_container(node, outside):
    assert await tried(node, outside) == set()


async def test_nothing_comes_through_from_a_pod_with_users_of_its_own(node, outside):
    assert await tried(node, outside, pod={"host_users": False}) == set()


async def test_capabilities_without_the_calls_they_are_for_are_no_way_out(node, outside):
    """All of them but SYS_ADMIN: network, tracing, files, and the filter of the machine in the way."""
    security = Security(add_capabilities=("ALL",), drop_capabilities=("SYS_ADMIN",))
    assert await tried(node, outside, security=security) == set()


async def test_without_the_default_profile_there_are_user_namespaces(node, outside):
    of_users = {"make_a_user_namespace", "clone_into_a_user_namespace"}
    assert await tried(node, outside, security=Security(seccomp="Unconfined")) == of_users


async def test_root_of_a_user_namespace_in_a_container_has_that_alone(node, outside):
    security = Security(seccomp="Unconfined")
    assert await tried(node, outside, "nested", security=security) == OF_A_USER_NAMESPACE


async def test_a_privileged_container_may_what_its_machine_may(node, outside):
    """/usr is the machine's, so writing to it is; the files of /sys are the kernel's."""
    of_files = {
        "remount_usr_for_writing",
        "overwrite_the_program_of_the_first_process",
        "overwrite_what_the_first_process_has_mapped",
        "remount_a_read_only_volume",
        "open_a_file_in_sys",
    }
    assert await tried(node, outside, security=Security(privileged=True)) <= OF_A_MACHINE | of_files


async def test_a_machine_s_root_has_his_machine_alone(node, outside):
    output = await on_machine(node.machine, *outside.arguments, env=outside.environment)
    assert set(through(output)) == OF_A_MACHINE | {"write_to_usr"}


async def test_what_a_privileged_container_writes_to_usr_is_seen_on_its_machine_only(node):
    name = f"/usr/kubelab-{secrets.token_hex(4)}"
    script = f"mount -o remount,bind,rw /usr && echo mine > {name} && echo written"
    told = await node.shell(await node.pod(), script, security=Security(privileged=True))
    assert told == "written\n"
    assert await on_machine(node.machine, "cat", name) == "mine\n"
    assert not Path(name).exists()
