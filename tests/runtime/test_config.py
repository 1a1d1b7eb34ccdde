"""A config.json is read as the OCI runtime specification means it, or refused with the field's name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.linux.detached_mounts import (
    ATTR_ATIME,
    ATTR_NOATIME,
    ATTR_NODEV,
    ATTR_NOSUID,
    ATTR_RDONLY,
    SLAVE,
)
from kubelab.cluster.runtime.config import (
    ConfigError,
    User,
    complete,
    parse,
    parse_own,
    parse_resources,
    parse_text,
)
from kubelab.cluster.runtime.mount_options import parse_options
from kubelab.cluster.runtime.oci.arguments import UsageError, parse_arguments
from kubelab.cluster.runtime.oci.features import default_config
from kubelab.cluster.runtime.users import UnknownUserError, find_user

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nbroken line\n"
GROUP = "root:x:0:\nwww:x:34:\nadm:x:4:root,web\n"


def test_the_default_config_is_one():
    config = parse(default_config())
    assert config.process is not None
    assert config.process.args == ("sh",)
    assert config.process.capabilities is not None
    assert config.process.capabilities.bounding == {"AUDIT_WRITE", "KILL", "NET_BIND_SERVICE"}
    assert config.makes("pid")
    assert config.namespace("user") is None


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"process": {"cwd": "tmp"}}, "process.cwd"),
        ({"process": {"cwd": "/", "args": "sh"}}, "process.args"),
        ({"process": {"cwd": "/", "user": {"uid": "0"}}}, "process.user.uid"),
        ({"mounts": [{"source": "x"}]}, "mounts[0].destination"),
        ({"linux": {"namespaces": [{"type": "net"}]}}, "'net'"),
        ({"linux": {"namespaces": [{"type": "pid"}] * 2}}, "two of type 'pid'"),
        ({"hooks": {"poststop": [{"path": "x"}]}}, "hook"),
        ({"linux": []}, "linux"),
    ],
)
def test_what_is_wrong_is_named(change, names):
    with pytest.raises(ConfigError, match=r"not valid|no vale") as caught:
        parse(default_config() | change)
    assert names in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["process", "root", "mounts", "linux", "hooks", "annotations", "hostname", "other"])


@given(st.dictionaries(FIELDS, JSON))
def test_whatever_the_document_is_it_is_read_or_refused(document):
    try:
        parse(document)
    except ConfigError as error:
        assert str(error)


def test_limits_are_told_in_cgroup_v2s_words():
    resources = parse_resources(
        {
            "memory": {"limit": 1000, "swap": 1500, "reservation": 500},
            "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1"},
            "pids": {"limit": -1},
            "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 99}]},
            "unified": {"memory.high": "900"},
        }
    )
    assert resources.fields == {
        "memory.max": "1000",
        "memory.swap.max": "500",
        "memory.low": "500",
        "cpu.weight": "39",
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0-1",
        "pids.max": "max",
        "io.max": "8:0 rbps=99",
        "memory.high": "900",
    }


def test_mount_options_are_attributes_propagation_or_data_and_later_ones_win():
    options = parse_options(("ro", "nosuid", "rw", "nodev", "noatime", "rslave", "rro", "size=1m", "rbind"))
    assert options.set == ATTR_NOSUID | ATTR_NODEV | ATTR_NOATIME
    assert options.clear == ATTR_RDONLY | ATTR_ATIME
    assert (options.propagation, options.propagation_recursive) == (SLAVE, True)
    assert options.recursive_set == ATTR_RDONLY
    assert options.data == ["size=1m"]
    assert (options.bind, options.recursive) == (True, True)


@pytest.mark.parametrize(
    ("wanted", "uid", "gid", "groups"),
    [
        ("web", 33, 34, (4,)),
        ("33", 33, 34, (4,)),
        ("web:adm", 33, 4, ()),
        ("33:5", 33, 5, ()),
        ("1000", 1000, 0, ()),
        ("1000:1000", 1000, 1000, ()),
    ],
)
def test_an_images_user_is_looked_up_in_its_own_files(wanted, uid, gid, groups):
    assert find_user(wanted, PASSWD, GROUP, User()) == User(uid, gid, None, groups)


@pytest.mark.parametrize("wanted", ["nobody", "web:nogroup", ":adm"])
def test_a_name_that_the_image_does_not_have_is_no_user(wanted):
    with pytest.raises(UnknownUserError):
        find_user(wanted, PASSWD, GROUP, User())


def test_the_command_line_is_runcs():
    arguments = parse_arguments(
        ["--root", "/r", "--log-format=json", "exec", "-t", "--env", "A=b", "-e", "C=d", "id", "ls", "-l"]
    )
    assert arguments.general.values == {"root": "/r", "log-format": "json"}
    assert arguments.command == "exec"
    assert arguments.options.flags == {"tty"}
    assert arguments.options.lists == {"env": ["A=b", "C=d"]}
    assert arguments.rest == ("id", "ls", "-l")


@pytest.mark.parametrize("line", ["fly", "create --wings x", "create --bundle", "--root"])
def test_what_is_no_command_line_is_refused(line):
    with pytest.raises(UsageError):
        parse_arguments(line.split())


def test_a_description_is_read_once_for_all_that_it_describes():
    bind = {"type": "bind", "options": ["rbind", "ro"]}
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/data", **bind}]
    text = json.dumps({"process": {"cwd": "/srv"}, "mounts": mounts})
    described = parse_text(text)
    assert parse_text(text) is described
    own = parse_own(["second", "x"], ["A=b"], ["/here"])
    proc, data = described.mounts
    assert complete(described, own) == replace(
        described,
        process=replace(described.process, args=("second", "x"), env=("A=b",)),
        mounts=(proc, replace(data, source="/here")),
    )
    assert described.process.args == ()


@pytest.mark.parametrize("args", [["zero\0"], [1], "true"])
def test_what_is_a_container_s_own_is_checked_as_in_a_description(args):
    with pytest.raises(ConfigError, match=r"process\.args"):
        parse_own(args, [], [])
    with pytest.raises(ConfigError, match=r"process"):
        complete(parse_text("{}"), parse_own(["true"], [], []))
    with pytest.raises(ConfigError, match=r"mounts"):
        complete(parse_text('{"process": {"cwd": "/"}}'), parse_own(["true"], [], ["/here"]))
