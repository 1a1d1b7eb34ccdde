"""What AppArmor says of this program is read as the kernel writes it, and comes with what mends it."""

import errno

import pytest

from kubelab.cluster.linux.apparmor import ENABLED, OWN, SHARED, Confinement, confinement, mend

FILES = {
    "unconfined\n": None,
    "docker-default (enforce)\n": Confinement("docker-default", "enforce"),
    "/usr/bin/python3.12 (complain)\n": Confinement("/usr/bin/python3.12", "complain"),
    "a profile (kill)\n": Confinement("a profile", "kill"),
    "unprivileged_userns (enforce)\n": Confinement("unprivileged_userns", "enforce"),
    "vivaldi-bin (unconfined)\n": Confinement("vivaldi-bin", "unconfined"),
    "crun//&unprivileged_userns (mixed)\n": Confinement("crun//&unprivileged_userns", "mixed"),
    "": None,
}


def reading(files: dict[str, str]):
    return lambda path: files.get(path, "")


@pytest.mark.parametrize("line", FILES)
@pytest.mark.parametrize("file", [OWN, SHARED])
def test_the_profile_and_its_mode_are_told_in_a_line(line: str, file: str) -> None:
    assert confinement(reading({ENABLED: "Y\n", file: line})) == FILES[line]


def test_the_file_that_modules_share_is_anothers_where_apparmor_is_off() -> None:
    assert confinement(reading({ENABLED: "N\n", SHARED: "docker-default (enforce)\n"})) is None
    selinux = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0"
    assert confinement(reading({SHARED: selinux})) is None


def test_a_refusal_under_a_profile_comes_with_the_command_that_takes_that_away() -> None:
    found = mend(errno.EACCES, reading({ENABLED: "Y", OWN: "kubelab (enforce)\n"}))
    assert found is not None
    assert found.en.endswith("printf %s 'kubelab' | sudo tee /sys/kernel/security/apparmor/.remove")


def test_in_a_container_it_is_the_engine_that_is_told() -> None:
    for name in ("docker-default", "containers-default-0.50.1", "lxc-container-default-cgns"):
        found = mend(errno.EPERM, reading({ENABLED: "Y", OWN: f"{name} (enforce)\n"}))
        assert found is not None
        assert "--security-opt apparmor=unconfined" in found.en


@pytest.mark.parametrize("line", ["unconfined\n", "kubelab (complain)\n", "kubelab (unconfined)\n"])
def test_what_forbids_nothing_is_not_blamed(line: str) -> None:
    assert mend(errno.EPERM, reading({ENABLED: "Y", OWN: line})) is None


def test_nor_for_what_no_profile_answers() -> None:
    assert mend(errno.ENOENT, reading({ENABLED: "Y", OWN: "kubelab (enforce)\n"})) is None
