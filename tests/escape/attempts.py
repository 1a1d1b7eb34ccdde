"""Attempts to get out, as a program for the inside: `python3 -c <this file> CANARY HOST_PID [nested]`.

Each is a short function that does what an attacker would begin with. It raises OSError where it is refused,
returns "" where there is nothing to be had, else what it got: a line of JSON tells of each, by its name.
All are harmless should they succeed: they open without writing, hand the kernel arguments that it cannot use,
or read a canary.
"""
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH115, PTH116, PTH119, PTH123, PTH208

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
CANARY, HOST_PID = sys.argv[1], int(sys.argv[2])
TIMEOUT_S = 30
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS)
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
USER_NAMESPACE = 0x10000000
ATTEMPTS: dict[str, Callable[[], object]] = {}
X86_64 = os.uname().machine == "x86_64"


def attempt(act: Callable[[], object]) -> Callable[[], object]:
    ATTEMPTS[act.__name__] = act
    return act


def call(name: str, *arguments: object) -> int:
    """A system call: by number, or by the C library's name."""
    if (result := getattr(LIBC, name)(*map(_word, arguments))) < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def syscall(x86_64: int, aarch64: int, *arguments: object) -> str:
    """Return "" if it was refused as such; that the kernel dislikes the arguments means that it was not."""
    number = x86_64 if X86_64 else aarch64
    if LIBC.syscall(ctypes.c_long(number), *map(_word, arguments)) >= 0:
        return f"system call {number}"
    if ctypes.get_errno() in REFUSALS:
        return ""
    return f"system call {number}: {os.strerror(ctypes.get_errno())}"


def _word(value: object) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    words = [each.encode() if each is not None else None for each in (source, target, kind)]
    call("mount", *words, flags, data.encode() if data else None)


def opens_for_writing(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def files_below(top: str) -> Iterator[str]:
    for path, _, names in os.walk(top):
        yield from (os.path.join(path, name) for name in names)


def listed(found: Iterator[str]) -> str:
    return " ".join(sorted(found)[:20])


def place(name: str) -> str:
    path = f"/tmp/{name}-{os.getpid()}"
    os.makedirs(path)
    return path


# Files of the host


@attempt
def read_a_file_of_the_host():
    return open(CANARY).read()


@attempt
def reach_a_file_through_proc():
    ways = [f"/proc/{pid}/{way}" for pid in os.listdir("/proc") if pid.isdigit() for way in ("root", "cwd")]
    return listed(way for way in ways if os.path.exists(f"{way}{CANARY}"))


@attempt
def write_to_usr():
    return opens_for_writing("/usr/bin/env")


@attempt
def remount_usr_for_writing():
    mount("none", "/usr", None, MS_REMOUNT | MS_BIND)
    return opens_for_writing("/usr/bin/env")


@attempt
def remount_a_read_only_volume():
    mount("none", "/read-only", None, MS_REMOUNT | MS_BIND)
    return opens_for_writing("/read-only")


@attempt
def leave_by_the_chroot_dance():
    top, below = os.open("/", os.O_RDONLY), place("dance")
    os.chroot(below)
    os.fchdir(top)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return os.path.exists(CANARY)


@attempt
def open_a_file_by_its_handle():
    """Shocker: the inode number 2 is the root of many a file system."""
    handle = struct.pack("IiQ", 8, 1, 2)
    with open("/etc/hosts") as known:
        return syscall(304, 265, known.fileno(), handle, os.O_RDONLY)


@attempt
def overwrite_the_program_of_the_first_process():
    """CVE-2019-5736."""
    return is_writable_file("/proc/1/exe")


@attempt
def overwrite_what_the_first_process_has_mapped():
    """What has no name is memory that processes share."""
    mapped = files_below("/proc/1/map_files")
    return listed(path for path in mapped if is_writable_file(path) and os.stat(path).st_nlink)


def is_writable_file(path: str) -> bool:
    """A program that runs (ETXTBSY) can be written to when it has ended, unless its mount is read-only."""
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        return error.errno == errno.ETXTBSY and not os.statvfs(path).f_flag & os.ST_RDONLY
    return True


# Descriptors and sockets that lead out


@attempt
def use_a_descriptor_that_leaked():
    links = {name: os.readlink(f"/proc/self/fd/{name}") for name in FDS}
    return listed(f"{name}:{link}" for name, link in links.items() if int(name) > 2 and link)


@attempt
def connect_to_an_abstract_socket_of_the_host():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("\0" + CANARY)
        return "connected"


@attempt
def hear_of_the_hosts_links():
    names = {name for _, name in socket.if_nameindex()}
    return listed(
        name for name in names if name not in ("lo", "eth0", "cni0") and not name.startswith("veth")
    )


@attempt
def reach_the_hosts_loopback():
    with socket.socket() as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", int(os.environ["HOST_PORT"])))
        return "connected"


@attempt
def reach_the_hosts_addresses_by_raw_packets():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(0.3)
        for address in os.environ["HOST_ADDRESSES"].split():
            sock.sendto(ping(), (address, 0))
        return listed(answers(sock))


def ping() -> bytes:
    return struct.pack("!BBHHH", 8, 0, ~(0x0800 + 0x4B4C) & 0xFFFF, 0x4B4C, 0)


def answers(sock: socket.socket) -> Iterator[str]:
    """Yield who has answered the ping (0 is an echo's reply), not who says that there is no way."""
    while True:
        try:
            packet, (address, _) = sock.recvfrom(2048)
        except OSError:
            return
        if packet[20] == 0 and address in os.environ["HOST_ADDRESSES"].split():
            yield address


@attempt
def talk_to_the_kernels_audit():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as sock:
        sock.bind((0, 1))
        return "joined"


# Processes of others


@attempt
def see_processes_of_the_host():
    return os.path.exists(f"/proc/{HOST_PID}")


@attempt
def signal_a_process_of_the_host():
    os.kill(HOST_PID, 0)
    return "there"


@attempt
def trace_a_process_of_the_host():
    call("ptrace", 16, HOST_PID, 0, 0)
    return "attached"


@attempt
def read_the_memory_of_a_process_of_the_host():
    own = ctypes.create_string_buffer(1)
    place_, there = struct.pack("QQ", ctypes.addressof(own), 1), struct.pack("QQ", 0, 1)
    call("process_vm_readv", HOST_PID, place_, 1, there, 1, 0)
    return "read"


@attempt
def read_keys_of_others():
    return syscall(250, 219, 11, -3, 0, 0) or syscall(249, 218, b"user", b"x", 0, 0)


# Settings of the kernel that is everybody's


@attempt
def write_a_sysctl():
    return written_sysctls("/proc")


@attempt
def write_a_sysctl_in_another_proc():
    target = place("proc-sys")
    mount("proc", target, "proc")
    return written_sysctls(target)


def written_sysctls(proc: str) -> str:
    """Nothing changes: what is written is what was read."""
    return listed(name for name in SYSCTLS if is_rewritable(f"{proc}/sys/{name}"))


def is_rewritable(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb", buffering=0) as file:
            file.write(content)
    except OSError:
        return False
    return True


@attempt
def open_sysrq():
    return opens_for_writing("/proc/sysrq-trigger")


@attempt
def open_other_knobs_in_proc():
    return listed(
        path
        for path in (
            "/proc/kcore",
            "/proc/kmsg",
            "/proc/keys",
            "/proc/timer_list",
            "/proc/mtrr",
            "/proc/scsi/scsi",
        )
        if content_of(path)
    )


def content_of(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return os.read(fd, 16)
    except OSError:
        return b""


@attempt
def open_a_file_in_sys():
    return listed(path for path in files_below("/sys") if "/cgroup/" not in path and opens_for_writing(path))


@attempt
def write_to_a_cgroup():
    return listed(path for path in files_below("/sys/fs/cgroup") if opens_for_writing(path))


@attempt
def name_a_release_agent():
    """CVE-2022-0492: cgroup v1 executes it on the host."""
    target = place("cgroup")
    mount("cgroup", target, "cgroup", 0, "memory")
    return opens_for_writing(f"{target}/release_agent")


@attempt
def make_a_cgroup():
    tops = [f"/sys/fs/cgroup/{name}" for name in ("", *os.listdir("/sys/fs/cgroup"))]
    return listed(top for top in tops if os.path.isdir(top) and makes_directory(f"{top}/kl-escape"))


def makes_directory(path: str) -> bool:
    try:
        os.mkdir(path)
    except OSError:
        return False
    os.rmdir(path)  # noqa: PTH106
    return True


# Devices and mounts


@attempt
def make_the_kernels_memory():
    os.mknod(f"{place('memory')}/mem", 0o020600, os.makedev(1, 1))
    return "made"


@attempt
def make_a_disk():
    os.mknod(f"{place('disk')}/disk", 0o060600, os.makedev(254, 0))
    return "made"


@attempt
def open_a_device_of_the_host():
    own = ("/dev/pts", "/dev/shm", "/dev/mqueue")
    return listed(path for path in files_below("/dev") if not path.startswith(own) and is_of_the_host(path))


def is_of_the_host(device: str) -> bool:
    usual = {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "console",
        "stdin",
        "stdout",
        "stderr",
    }
    return os.path.basename(device) not in usual and bool(content_of(device))


@attempt
def mount_proc_anew():
    target = place("proc")
    mount("proc", target, "proc")
    return "mounted"


@attempt
def mount_sysfs_anew():
    target = place("sys")
    mount("sysfs", target, "sysfs")
    return "mounted"


@attempt
def mount_devtmpfs():
    target = place("dev")
    mount("dev", target, "devtmpfs")
    return listed(path for path in files_below(target) if is_of_the_host(path))


@attempt
def take_off_a_mask():
    call("umount2", b"/proc/kcore", 2)
    return content_of("/proc/kcore")


@attempt
def mount_by_descriptors():
    return syscall(430, 430, b"tmpfs", 0) or syscall(428, 428, -100, b"/", 1)


@attempt
def change_the_root():
    return syscall(155, 41, b".", b".")


# Namespaces and system calls


@attempt
def make_a_user_namespace():
    return syscall(272, 97, USER_NAMESPACE)


@attempt
def clone_into_a_user_namespace():
    flags = USER_NAMESPACE | int(signal.SIGCHLD)
    pid = LIBC.syscall(ctypes.c_long(56 if X86_64 else 220), ctypes.c_long(flags), 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return "cloned" if pid > 0 else syscall(435, 435, struct.pack("11Q", USER_NAMESPACE, *[0] * 10), 88)


@attempt
def make_another_namespace():
    flags = {"mnt": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "net": 0x40000000}
    return listed(name for name, flag in flags.items() if syscall(272, 97, flag))


@attempt
def enter_a_namespace():
    with open("/proc/1/ns/net") as own:
        return syscall(308, 268, own.fileno(), 0x40000000)


@attempt
def load_a_program_into_the_kernel():
    return syscall(321, 280, 5, struct.pack("128x"), 128)


@attempt
def watch_the_kernel():
    return syscall(298, 241, struct.pack("IIQ112x", 1, 128, 0), -1, 0, -1, 0)


@attempt
def handle_page_faults():
    return syscall(323, 282, 0)


@attempt
def set_up_io_uring():
    return syscall(425, 425, 0, 0)


@attempt
def load_another_kernel():
    return syscall(246, 104, 0, 0, 0, -1) or syscall(320, 294, -1, -1, 0, 0, -1)


@attempt
def load_a_module():
    calls = ((175, 105, 0, 0, b""), (313, 273, -1, b"", 0), (176, 106, b"no-such-module", 0))
    return " ".join(filter(None, (syscall(*each) for each in calls)))


@attempt
def restart_the_host():
    """Without the magic numbers: who may gets EINVAL."""
    return syscall(169, 142, 0, 0, 0, 0)


@attempt
def turn_off_swap():
    return syscall(168, 225, b"/no/such/file")


@attempt
def set_the_clock():
    return syscall(227, 112, 99, 0)


@attempt
def use_ports_of_the_hardware():
    return syscall(173, 0, 0, 1, 0) if X86_64 else ""


@attempt
def read_the_kernels_log():
    return syscall(103, 116, 4, 0, 0)


@attempt
def name_the_host():
    return syscall(170, 161, b"owned", -1)


@attempt
def push_input_into_a_terminal():
    """TIOCSTI, into whatever the standard streams are."""
    for fd in (0, 1, 2):
        if os.isatty(fd):
            fcntl.ioctl(fd, 0x5412, b"x")
            return f"into {os.ttyname(fd)}"
    return ""


def outcome(act: Callable[[], object]) -> str:
    try:
        got = act()
    except OSError:
        return ""
    return str(got) if got else ""


def try_apart(name: str, act: Callable[[], object]) -> None:
    """In a process of its own: some change what they run in."""
    if (pid := os.fork()) == 0:
        signal.alarm(TIMEOUT_S)
        line = json.dumps({"attempt": name, "got": outcome(act)}) + "\n"
        os.write(1, line.encode())
        os._exit(0)
    os.waitpid(pid, 0)


FDS = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
SYSCTLS = (
    "kernel/core_pattern",
    "kernel/modprobe",
    "kernel/panic",
    "kernel/randomize_va_space",
    "fs/file-max",
    "vm/overcommit_memory",
    "vm/swappiness",
)


def enter_namespaces_of_his_own() -> None:
    """As root of them: of a user namespace, and of all others but pid and time."""
    call("unshare", USER_NAMESPACE | 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x40000000)
    for name, line in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def main() -> None:
    if "nested" in sys.argv:
        enter_namespaces_of_his_own()
    for name, act in ATTEMPTS.items():
        try_apart(name, act)


if __name__ == "__main__":
    main()
