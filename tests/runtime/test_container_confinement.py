"""What a container is given and what it is kept from, seen from inside, as its config.json has it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from oci_bundle import Bundle, Runtime, bundle_at

from kubelab.cluster.linux import own_executable

pytestmark = pytest.mark.root

# Its cgroup is named after it, on a host that other workers share.
X = f"x-{os.getpid()}"
SH = ("sh", "-c")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path / "state")
    yield made
    made.remove_all()


def says(runtime: Runtime, bundle: Bundle, script: str) -> list[str]:
    """Run the script in the container; return the lines that it writes."""
    bundle.document["process"]["args"] = [*SH, f"exec 2>&1; {script}"]
    bundle.write()
    done = runtime("run", "-b", str(bundle.path), f"{bundle.path.name}-{os.getpid()}", check=False)
    assert "kubelab oci" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_it_has_its_user_groups_limits_directory_and_environment(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", cwd="/tmp/made")
    bundle.document["root"]["readonly"] = False
    process = bundle.document["process"]
    process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o77}
    process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]
    process["env"].append("GREETING=hello")
    process["oomScoreAdj"] = 500
    script = "id -u; id -g; id -G; ulimit -n; ulimit -Hn; pwd; umask; echo $GREETING $HOME; hostname"
    assert says(runtime, bundle, f"{script}; cat /proc/self/oom_score_adj") == [
        *("1000", "1001", "1001 5 6", "50", "60", "/tmp/made", "0077", "hello /", "kubelab", "500")
    ]


def test_it_holds_the_capabilities_that_it_is_given_and_can_gain_no_others(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    granted = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
    bundle.document["process"]["capabilities"] = {
        "bounding": [*granted, "CAP_CHOWN"],
        "effective": granted,
        "permitted": granted,
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    bundle.document["process"]["user"] = {"uid": 33, "gid": 33}
    lines = says(runtime, bundle, "grep -E 'Cap|NoNew' /proc/self/status | cut -f2")
    kill, bounding = 1 << 5, 1 << 5 | 1 << 10 | 1
    assert [int(line, 16) for line in lines] == [kill, kill, kill, bounding, kill, 1]


def test_kernel_files_are_masked_or_read_only_and_devices_are_the_usual_ones(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    lines = says(
        runtime,
        bundle,
        "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic; "
        "ls -x -w 200 /dev; stat -c %t:%T /dev/null /dev/urandom",
    )
    assert lines[:2] == ["0", "0"]
    assert "Read-only file system" in lines[2]
    assert lines[3].split() == (
        [
            "fd",
            "full",
            "mqueue",
            "null",
            "ptmx",
            "pts",
            "random",
            "shm",
            "stderr",
            "stdin",
            "stdout",
            "tty",
            "urandom",
            "zero",
        ]
    )
    assert lines[4:] == ["1:3", "1:9"]


def test_a_read_only_root_has_only_its_mounts_to_write_to(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    (tmp_path / "data").mkdir()
    bundle.document["mounts"] += [
        {
            "destination": "/data",
            "type": "bind",
            "source": str(tmp_path / "data"),
            "options": ["rbind", "rw"],
        },
        {
            "destination": "/shown",
            "type": "bind",
            "source": str(tmp_path / "data"),
            "options": ["bind", "ro"],
        },
        {
            "destination": "/memory",
            "type": "tmpfs",
            "source": "x",
            "options": ["size=1m", "mode=0700", "noexec"],
        },
    ]
    bundle.document["root"]["readonly"] = True
    lines = says(
        runtime,
        bundle,
        "for d in / /data /shown /memory; do (touch $d/x) 2>/dev/null && echo $d; done; "
        "grep -E ' /memory ' /proc/mounts; stat -c %a /memory",
    )
    assert lines[:2] == ["/data", "/memory"]
    assert "noexec" in lines[2]
    assert "size=1024k" in lines[2]
    assert lines[3] == "700"
    assert (tmp_path / "data/x").exists()


def bundle_with_users(path: Path) -> Bundle:
    """Its root is 200000 outside."""
    bundle = bundle_at(path)
    mappings = [{"containerID": 0, "hostID": 200000, "size": 1000}]
    linux = bundle.document["linux"]
    linux["uidMappings"] = linux["gidMappings"] = mappings
    linux["namespaces"].append({"type": "user"})
    return bundle


def test_a_user_namespace_maps_its_root_to_somebody_without_rights(runtime, tmp_path):
    bundle = bundle_with_users(tmp_path / "b")
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    mount = {"destination": "/data", "type": "bind", "source": str(data), "options": ["rbind", "rw"]}
    mapped = mount | {"destination": "/mapped", "options": ["bind", "idmap"]}
    bundle.document["mounts"] += [mount, mapped]
    script = (
        "id -u; touch /data/theirs /mapped/mine; stat -c %u /mapped/mine; cat /proc/self/uid_map; "
        "ip link set lo down && echo down"
    )
    bundle.document["process"]["capabilities"] = {
        n: ["CAP_NET_ADMIN", "CAP_DAC_OVERRIDE"] for n in ("bounding", "effective", "permitted")
    }
    lines = says(runtime, bundle, script)
    assert [lines[0], lines[1], lines[2].split(), lines[3]] == ["0", "0", ["0", "200000", "1000"], "down"]
    assert (data / "theirs").stat().st_uid == 200000
    assert (data / "mine").stat().st_uid == 0


def test_a_file_system_whose_owners_cannot_be_mapped_is_refused(runtime, tmp_path):
    bundle = bundle_with_users(tmp_path / "b")
    mapped = {"destination": "/mapped", "type": "bind", "source": "/sys/kernel", "options": ["bind", "idmap"]}
    bundle.document["mounts"].append(mapped)
    bundle.document["process"]["args"] = ["true"]
    bundle.write()
    refused = runtime("run", "-b", str(bundle.path), X, check=False)
    assert refused.returncode != 0
    assert "/sys/kernel: this kernel cannot map the owners of its files" in refused.stderr


def test_seccomp_refuses_what_its_section_names(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    rule = {"names": ["mkdir", "mkdirat", "nosuchcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    bundle.document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    for no_new_privileges in (True, False):
        bundle.document["process"]["noNewPrivileges"] = no_new_privileges
        assert "Operation not supported" in says(runtime, bundle, "mkdir /tmp/x")[0]


def test_sysctls_are_those_of_its_own_namespaces_only(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    bundle.document["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shmmni": "17"}
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni"
    assert says(runtime, bundle, script) == ["80", "17"]
    bundle.document["linux"]["sysctl"] = {"kernel.panic": "1"}
    bundle.write()
    assert runtime("create", "-b", str(bundle.path), X, check=False).returncode == 1


def test_devices_that_its_rules_do_not_name_cannot_be_opened(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b")
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
    bundle.document["linux"]["devices"] = [device]
    bundle.document["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    script = "head -c 1 /dev/zero | wc -c; (: < /dev/fuse) || echo refused"
    lines = says(runtime, bundle, script)
    assert lines[0] == "1"
    assert "Operation not permitted" in lines[1]


def test_a_symlink_in_the_root_leads_no_mount_outside(runtime, tmp_path):
    """CVE-2021-30465: the place to mount on is resolved inside the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    bundle = bundle_at(tmp_path / "b")
    (bundle.rootfs / "tmp/link").symlink_to(outside)
    (bundle.rootfs / "tmp/up").symlink_to("../../../../../../../..")
    for name in ("link", "up"):
        bundle.document["mounts"].append(
            {"destination": f"/tmp/{name}/in", "type": "tmpfs", "source": "x", "options": []}
        )
    says(runtime, bundle, "true")
    assert list(outside.iterdir()) == []
    assert not Path("/in").exists()


def test_proc_is_mounted_on_itself_and_nothing_in_it_is_covered(runtime, tmp_path):
    """CVE-2019-19921, CVE-2019-16884."""
    bundle = bundle_at(tmp_path / "b")
    (tmp_path / "fake").mkdir()
    fake = {"type": "bind", "source": str(tmp_path / "fake"), "options": ["bind"]}
    for destination in ("/proc", "/proc/self", "/tmp/../proc/sys", "/"):
        document = bundle.document | {
            "mounts": [*bundle.document["mounts"], {"destination": destination} | fake]
        }
        refused = Bundle(bundle.path, document)
        refused.write()
        assert runtime("create", "-b", str(bundle.path), X, check=False).returncode == 1
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("tmp")
    bundle.write()
    assert runtime("create", "-b", str(bundle.path), X, check=False).returncode == 1


def test_no_descriptor_and_no_directory_of_the_runtimes_is_passed_on(runtime, tmp_path):
    """CVE-2024-21626."""
    bundle = bundle_at(tmp_path / "b")
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    bundle.document["process"]["args"] = [*SH, "ls /proc/self/fd"]
    bundle.write()
    done = runtime("run", "-b", str(bundle.path), X, pass_fds=(leak,))
    os.close(leak)
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is of ls itself.
    for number in (3, 4, 7):
        bundle.document["process"]["cwd"] = f"/proc/self/fd/{number}"
        bundle.write()
        assert runtime("run", "-b", str(bundle.path), X, check=False).returncode == 255


def test_the_hosts_interpreter_cannot_be_written_through_proc(runtime, tmp_path):
    """CVE-2019-5736: a command that is /proc/self/exe is the runtime's own program, but cannot change it."""
    bundle = bundle_at(tmp_path / "b")
    bundle.document["process"]["args"] = [
        *("/proc/self/exe", "-I", "-S", "-c"),
        "import os; print(os.statvfs('/proc/self/exe').f_flag & os.ST_RDONLY)",
    ]
    bundle.document["mounts"].append(
        {
            "destination": sys.base_prefix,
            "type": "bind",
            "source": sys.base_prefix,
            "options": ["rbind", "ro"],
        }
    )
    bundle.write()
    assert runtime("run", "-b", str(bundle.path), X).stdout == "1\n"


def test_a_protected_file_is_executed_but_not_written_to(tmp_path):
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    fd = own_executable.open_protected(str(program))
    assert subprocess.run([f"/proc/self/fd/{fd}"], pass_fds=(fd,), check=False).returncode == 0
    with pytest.raises(OSError, match="Read-only file system"):
        os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    os.close(fd)
