"""What a machine may use of this host: bounds of its cgroups and sizes of its file systems. Pure.

A bound is not a reservation: the sum over all machines may exceed the host. The learner's programs and the
pods have bounds of their own within the machine's, so that a fork bomb or a memory hog among them leaves room
for the others and for the machine's init; whatever fits on the disks fits into the programs' memory too, so
that a disk which fills says ENOSPC before the kernel has to kill. In the words of cgroup v2.
"""

from dataclasses import dataclass

MIB = 1 << 20
INIT_MEMORY_BYTES, INIT_PIDS = 64 * MIB, 64


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """`programs_*`: of what the learner and the lessons start, all together; the pods have what is left.
    `disk_bytes` is the size of everything written to `/`; the others are file systems of their own."""

    memory_max_bytes: int
    pids_max: int
    programs_memory_max_bytes: int
    programs_pids_max: int
    disk_bytes: int
    tmp_bytes: int
    shm_bytes: int
    run_bytes: int

    @staticmethod
    def of_host(memory_bytes: int, pids_max: int) -> "MachineLimits":
        """Return the bounds for a host of that memory, whose kernel gives out that many pids."""
        memory = max(memory_bytes // 2, 512 * MIB)
        programs = _between(256 * MIB, memory_bytes // 4, 2048 * MIB)
        return MachineLimits(
            memory_max_bytes=memory,
            pids_max=_between(1024, pids_max // 8, 16384),
            programs_memory_max_bytes=programs,
            programs_pids_max=_between(256, pids_max // 32, 1024),
            disk_bytes=programs // 4,
            tmp_bytes=programs // 8,
            shm_bytes=programs // 32,
            run_bytes=programs // 32,
        )

    def machine_fields(self) -> dict[str, str]:
        return {"memory.max": str(self.memory_max_bytes), "pids.max": str(self.pids_max)}

    def programs_fields(self) -> dict[str, str]:
        return {
            "cpu.weight": str(PROGRAMS_CPU_WEIGHT),
            "memory.max": str(self.programs_memory_max_bytes),
            "pids.max": str(self.programs_pids_max),
        }

    def pods_fields(self) -> dict[str, str]:
        memory = self.memory_max_bytes - self.programs_memory_max_bytes - INIT_MEMORY_BYTES
        return {
            "memory.max": str(memory),
            "pids.max": str(self.pids_max - self.programs_pids_max - INIT_PIDS),
        }

    def sizes(self) -> dict[str, int]:
        """Return the size of each of the machine's writable file systems, by where it is."""
        return {"/": self.disk_bytes, "/tmp": self.tmp_bytes, "/dev/shm": self.shm_bytes} | {  # noqa: S108
            "/run": self.run_bytes
        }


# Of 100 that a cgroup has by default: the lab's own process goes first, then a machine's init and pods.
LAB_CPU_WEIGHT = 50
PROGRAMS_CPU_WEIGHT = 50


def _between(least: int, value: int, most: int) -> int:
    return min(max(least, value), most)
