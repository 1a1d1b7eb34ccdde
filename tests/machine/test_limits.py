"""What a machine may use adds up, whatever the host."""

from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.machine.limits import INIT_MEMORY_BYTES, INIT_PIDS, MIB, MachineLimits
from kubelab.cluster.node.config import PODS_MAX

hosts = st.builds(
    MachineLimits.of_host,
    memory_bytes=st.integers(1024 * MIB, 1 << 42),
    pids_max=st.integers(32_768, 1 << 22),
)


@given(hosts)
def test_what_fills_the_disks_fits_into_the_programs_memory_with_room_for_the_programs(limits):
    """So a full disk is ENOSPC and not a killed shell."""
    assert sum(limits.sizes().values()) <= limits.programs_memory_max_bytes // 2


@given(hosts)
def test_programs_and_pods_together_leave_the_init_its_part(limits):
    programs, pods = limits.programs_fields(), limits.pods_fields()
    memory = int(programs["memory.max"]) + int(pods["memory.max"])
    assert memory <= limits.memory_max_bytes - INIT_MEMORY_BYTES
    assert int(programs["pids.max"]) + int(pods["pids.max"]) <= limits.pids_max - INIT_PIDS


@given(hosts)
def test_as_many_pods_fit_as_a_kubelet_takes(limits):
    """A pause process and a few more each."""
    assert int(limits.pods_fields()["pids.max"]) >= PODS_MAX * 4


@given(st.integers(1024 * MIB, 1 << 42), st.integers(32_768, 1 << 22))
def test_one_machine_has_not_the_whole_host(memory_bytes, pids_max):
    limits = MachineLimits.of_host(memory_bytes, pids_max)
    assert limits.memory_max_bytes <= memory_bytes // 2
    assert limits.pids_max <= pids_max // 8
