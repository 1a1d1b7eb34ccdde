"""Which ids an ordinary user has in his namespace: his own as 0, behind it those that /etc/subuid grants."""

from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.linux.user_namespace import IdMaps, IdRange, current, granted, laid_out, parse_map
from kubelab.cluster.linux.user_probe import GUARDS, guard
from kubelab.cluster.runtime.unprivileged_root import shadow_of

SUBUID = "ana:100000:65536\n1000:200000:10\n# ana:1:1\nana:x:1\n\neve:300000:65536\nana:400000:65536\n"


def test_what_is_granted_is_found_by_name_and_by_id() -> None:
    assert granted(SUBUID, ["ana", "1000"]) == ((100000, 65536), (200000, 10), (400000, 65536))
    assert granted(SUBUID, ["bob", "1001"]) == ()


@given(st.integers(0, 2**31), st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 70000)), max_size=5))
def test_ids_inside_begin_with_ones_own_and_have_no_gaps(own: int, grants: list[tuple[int, int]]) -> None:
    ranges = laid_out(own, grants)
    assert ranges[0] == IdRange(0, own, 1)
    inside = [number for r in ranges for number in (r.inside, r.inside + r.count)]
    assert inside[1:-1:2] == inside[2::2]
    assert inside[-1] == 1 + sum(count for _, count in grants)


def test_the_kernels_own_namespace_has_all_users() -> None:
    everybody = parse_map("         0          0 4294967295\n")
    assert IdMaps(everybody, everybody).has_other_users
    assert not IdMaps(laid_out(1000, ()), laid_out(1000, ())).has_other_users
    assert current().users


def test_a_setting_that_forbids_namespaces_comes_with_the_command_that_mends_it() -> None:
    found = guard(lambda path: "1\n" if path.endswith("apparmor_restrict_unprivileged_userns") else "")
    assert found is not None
    assert found.mend == "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    assert guard(lambda path: "") is None
    assert [guard(lambda path, g=g: g.forbids if path == g.path else "") for g in GUARDS] == list(GUARDS)


def test_nobody_has_a_password_on_a_machine() -> None:
    assert shadow_of("root:x:0:0::/root:/bin/sh\n\nana:x:1:1\n") == "root:*:::::::\nana:*:::::::\n"
