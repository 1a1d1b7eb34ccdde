"""What is mounted where: the topmost counts, seen from the root of whoever looks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed import HOST, SCOPE, check, found, process

from kubelab.language import Text
from kubelab.lessons.checks import Measure
from kubelab.lessons.checks.mount_table import clean, file_system_of, mount_at
from kubelab.lessons.observation import MachineState, Mount, Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

ROOT = Mount(20, 1, "0:40", "/", "/", ("rw",), ("shared:1",), "overlay", "overlay", ())


def mount(id_: int, parent: Mount, point: str, type_: str = "tmpfs", **changes: object) -> Mount:
    made = Mount(id_, parent.id, f"0:{id_}", "/", point, ("rw",), (), type_, type_, ("rw",))
    return replace(made, **changes)  # type: ignore[arg-type]


DATA = mount(30, ROOT, "/mnt/data", options=("ro", "nosuid"), super_options=("rw", "size=64k"))
OVER = mount(31, DATA, "/mnt/data", "ext4")
BIND = mount(32, ROOT, "/srv/etc", root="/etc", device=ROOT.device, propagation=("shared:4", "master:1"))
WHOLE = mount(33, ROOT, "/srv/all", device="0:30")
JAIL = mount(34, ROOT, "/jail/proc", "proc")
STACK = mount(
    35,
    ROOT,
    "/merged",
    "overlay",
    super_options=("rw", "lowerdir=/l2:/l1", "upperdir=/up", "workdir=/work"),
)
TABLE = (ROOT, DATA, BIND, WHOLE, JAIL, STACK)


def seen(*mounts: Mount, own: tuple[Mount, ...] | Unseen = (ROOT,)) -> Observation:
    """Return what is seen of a machine with these mounts and a process `bash` that has mounts of its own."""
    processes = (
        process(8, "bash", namespaces={"mnt": 71}),
        process(9, "jailed", root="/jail"),
        process(10, "lost", namespaces={"mnt": 99}),
    )
    state = MachineState("minion-1", HOST, processes, mounts={HOST["mnt"]: mounts, 71: own})
    return Observation(machines={"minion-1": state})


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("mount: /mnt/data", PASSED),
        ("mount: /mnt/data/", PASSED),
        ("mount: /mnt", NOT_YET),
        ("mount: /mnt/data/sub", NOT_YET),
        ("{mount: /mnt/data, absent: true}", NOT_YET),
        ("{mount: /mnt, absent: true}", PASSED),
        ("{mount: /mnt/data, type: tmpfs, source: tmpfs}", PASSED),
        ("{mount: /mnt/data, type: ext4}", NOT_YET),
        ("{mount: /mnt/data, options: [ro, nosuid, size=64k]}", PASSED),
        ("{mount: /mnt/data, options: [ro, noexec]}", NOT_YET),
        ("{mount: /mnt/data, not-options: noexec}", PASSED),
        ("{mount: /mnt/data, not-options: [noexec, ro]}", NOT_YET),
        ("{mount: /mnt/data, options: rw}", NOT_YET),
        ("{mount: /mnt/data, propagation: private}", PASSED),
        ("{mount: /, propagation: shared}", PASSED),
        ("{mount: /srv/etc, propagation: slave}", PASSED),
        ("{mount: /srv/etc, propagation: private}", NOT_YET),
        ("{mount: /srv/etc, bind: true, root: /etc}", PASSED),
        ("{mount: /srv/all, bind: true}", PASSED),
        ("{mount: /jail/proc, bind: true}", NOT_YET),
        ("{mount: /merged, type: overlay, layers: [/l2, /l1], upper: /up, work: /work}", PASSED),
        ("{mount: /merged, layers: [/l1, /l2]}", NOT_YET),
        ("{mount: /merged, lower: /l1}", PASSED),
        ("{mount: /merged, lower: /l3}", NOT_YET),
        ("{mount: /merged, upper: /other}", NOT_YET),
        ("{mount: /mnt/data, upper: /up}", NOT_YET),
        ("{mount: /proc, of: {comm: jailed}, type: proc}", PASSED),
        ("{mount: /jail/proc, of: {comm: jailed}}", NOT_YET),
        ("{mount: /mnt/data, of: {comm: bash}}", NOT_YET),
        ("{mount: /mnt/data, of: {comm: bash}, absent: true}", PASSED),
        ("{mount: /mnt/data, of: {comm: nobody}, absent: true}", NOT_YET),
    ],
)
def test_a_mount_is_what_a_process_sees_at_a_path(yaml: str, verdict: Verdict) -> None:
    assert found(yaml, seen(*TABLE)).verdict is verdict


def test_of_several_over_each_other_the_topmost_counts() -> None:
    assert found("{mount: /mnt/data, type: tmpfs}", seen(*TABLE, OVER)).verdict is NOT_YET
    assert found("{mount: /mnt/data, type: ext4}", seen(OVER, *TABLE)).passed


def test_a_table_that_shows_only_what_is_below_a_chroot_will_do() -> None:
    below = (BIND, JAIL, mount(41, JAIL, "/jail/proc"))
    assert mount_at(below, "/jail/proc") is below[2]
    assert mount_at(below, "/srv/etc") is BIND
    assert file_system_of(below, "/jail") is None


def test_a_mount_below_one_that_came_later_is_hidden() -> None:
    below = mount(40, DATA, "/mnt/data/sub")
    assert mount_at((*TABLE, below), "/mnt/data/sub") is below
    assert mount_at((*TABLE, below, OVER), "/mnt/data/sub") is None
    assert file_system_of((*TABLE, below, OVER), "/mnt/data/sub") is OVER


def test_what_is_amiss_is_said_with_the_command_that_shows_it() -> None:
    finding = found("{mount: /mnt/data, type: ext4, options: noexec}", seen(*TABLE))
    assert finding.expected == Text(
        "en minion-1, un montaje en /mnt/data: tipo ext4, opciones noexec",
        "on minion-1, a mount on /mnt/data: type ext4, options noexec",
    )
    assert finding.observed.en == "type: tmpfs; its options are ro,nosuid,size=64k"
    assert finding.look == "findmnt -o TARGET,SOURCE,FSTYPE,OPTIONS,PROPAGATION /mnt/data"
    elsewhere = found("{mount: /mnt/data, of: {comm: bash}}", seen(*TABLE))
    assert elsewhere.observed.en == (
        "nothing is mounted there: /mnt/data lies on what is mounted on / (overlay)"
    )
    assert elsewhere.look == "findmnt -N 8 -o TARGET,SOURCE,FSTYPE,OPTIONS,PROPAGATION /mnt/data"


def test_mounts_that_cannot_be_read_or_were_not_yet_are_told_apart() -> None:
    blind = seen(*TABLE, own=Unseen(Text("ciego", "blind")))
    finding = found("{mount: /mnt/data, of: {comm: bash}}", blind)
    assert (finding.verdict, finding.observed.en) == (CANNOT, "blind")
    assert found("{mount: /mnt/data, of: {comm: lost}}", seen(*TABLE)).verdict is NOT_YET


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "overlay"),
        ("layers", ["/l2", "/l1"]),
        ("upper", "/up"),
        ("propagation", "private"),
        ("source", "overlay"),
    ],
)
def test_the_value_is_what_the_field_names(field: str, value: object) -> None:
    measure = check(f"{{mount: /merged, field: {field}}}")
    assert isinstance(measure, Measure)
    assert measure.value(seen(*TABLE), SCOPE) == value


paths = st.lists(st.sampled_from("abc"), max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(paths, max_size=8), paths)
def test_mounting_at_paths_one_after_another_shows_the_last_there_unless_one_above_hides_it(
    points: list[str], path: str
) -> None:
    """A model: a mount on a path hides everything that was mounted on it and below it before."""
    table, visible = [ROOT], {"/": ROOT}
    for number, point in enumerate(points):
        parent = file_system_of(table, point)
        assert parent is not None
        made = mount(100 + number, parent, point)
        table.append(made)
        hidden = [known for known in visible if f"{known}/".startswith(clean(f"{point}/").rstrip("/") + "/")]
        visible = {known: there for known, there in visible.items() if known not in hidden} | {point: made}
    assert mount_at(table, path) == visible.get(path)
    assert mount_at(list(reversed(table)), path) == visible.get(path)
