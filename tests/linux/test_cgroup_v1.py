"""v2's fields written as v1 has them: pure, over files in a dictionary that refuse what the kernel does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.linux.cgroup_v1 import CANNOT, FIELDS
from kubelab.cluster.linux.cgroup_v1.field import Writes
from kubelab.cluster.linux.cgroup_v1.memory import (
    LIMIT,
    LIMIT_WITH_SWAP,
    UNLIMITED_BYTES,
    bytes_of,
    write_max_without_swap,
)

NO_LIMIT = (1 << 63) - 4096
PAGE = 4096
bounded = st.integers(0, 1 << 20).map(lambda pages: str(pages * PAGE))
sizes = st.one_of(st.just("max"), bounded)


class Memory:
    """v1's two limits, of which the second may never be the lower (mm/memcontrol-v1.c)."""

    def __init__(self) -> None:
        self.files = {LIMIT: NO_LIMIT, LIMIT_WITH_SWAP: NO_LIMIT}

    def read(self, name: str) -> str | None:
        return f"{self.files[name]}\n" if name in self.files else None

    def write(self, writes: Writes) -> None:
        for name, value in writes:
            self.files[name] = NO_LIMIT if value == "-1" else int(value)
            assert self.files[LIMIT] <= self.files[LIMIT_WITH_SWAP]

    def tell(self, field: str) -> str:
        return FIELDS[field].read(self.read)


@settings(max_examples=40)
@given(st.lists(sizes, min_size=1, max_size=4))
def test_memory_goes_up_and_down_without_swap(wanted: list[str]) -> None:
    memory = Memory()
    for value in wanted:
        memory.write(write_max_without_swap(value, memory.read))
        assert memory.tell("memory.max") == value
        assert memory.tell("memory.swap.max") == ("max" if value == "max" else "0")


@settings(max_examples=40)
@given(
    sizes.filter(lambda value: value != "max"), sizes, st.lists(sizes.filter(lambda value: value != "max"))
)
def test_swap_stays_what_it_was_when_memory_changes(first: str, swap: str, wanted: list[str]) -> None:
    memory = Memory()
    memory.write(_written("memory.max", first, memory))
    memory.write(_written("memory.swap.max", swap, memory))
    for value in wanted:
        memory.write(_written("memory.max", value, memory))
        assert (memory.tell("memory.max"), memory.tell("memory.swap.max")) == (value, swap)


def _written(field: str, value: str, memory: Memory) -> Writes:
    write = FIELDS[field].write
    assert write
    return write(value, memory.read)


def test_sizes_have_the_kernel_s_units() -> None:
    assert [bytes_of(text) for text in ("4096", "4k", "32M", "1G")] == [4096, 4096, 32 << 20, 1 << 30]
    assert bytes_of("max") == UNLIMITED_BYTES


LIMITS = st.one_of(st.just("max"), st.integers(1, 1 << 40).map(str))


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(("rbps", "wbps", "riops", "wiops")), LIMITS, min_size=1))
def test_what_is_allowed_of_a_disk_is_told_as_it_was_written(limits: dict[str, str]) -> None:
    write = FIELDS["io.max"].write
    assert write
    line = " ".join(["8:0", *(f"{key}={value}" for key, value in limits.items())])
    files = {name: content for name, content in write(line, lambda _: None) if not content.endswith(" 0")}
    told = FIELDS["io.max"].read(files.get)
    kept = {key: value for key, value in limits.items() if value != "max"}
    everything = {key: kept.get(key, "max") for key in ("rbps", "wbps", "riops", "wiops")}
    assert told == ("8:0 " + " ".join(f"{key}={value}" for key, value in everything.items()) if kept else "")


@settings(max_examples=40)
@given(st.sampled_from(("5000", "max")), st.sampled_from(("", "100000", "50000")))
def test_a_quota_is_lifted_while_its_period_changes(quota: str, period: str) -> None:
    files = {"cpu.cfs_quota_us": "90000\n", "cpu.cfs_period_us": "100000\n"}
    write = FIELDS["cpu.max"].write
    assert write
    for name, content in write(f"{quota} {period}".strip(), files.get):
        files[name] = content
        assert int(files["cpu.cfs_quota_us"]) <= int(files["cpu.cfs_period_us"])
    assert FIELDS["cpu.max"].read(files.get) == f"{quota} {period or 100000}"


def test_what_there_is_has_no_excuse() -> None:
    assert not FIELDS.keys() & CANNOT.keys()
