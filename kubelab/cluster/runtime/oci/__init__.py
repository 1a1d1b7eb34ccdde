"""A runtime for other people's tools: `kubelab oci` follows the OCI runtime specification and runc's command
line.

    __main__     the program: as quick to start as Python can be
    arguments    runc's options, parsed
    commands     one function a command; errors, logs, exit codes
    bundle       config.json and what it means on this machine
    creation     create: cgroup, hooks, the container's first process, held until `start`
    container_state, state_files   what is known of a container, and where it is kept
    execution    exec; foreground: run and exec that one waits for
    hooks        programs that are called on the way

Source: opencontainers/runtime-spec, runtime.md and config.md; opencontainers/runc, its commands; what podman
(conmon) and containerd's runc shim call. The container itself is made by `runtime.container`, as a pod's is.
Left out: systemd's cgroups (--systemd-cgroup is refused), checkpoint and restore, SELinux, AppArmor, Intel
RDT, a config without `process`, ids of more than one user without root (give podman's user namespace), the
devices of a cgroup on hosts without any v2 hierarchy.

What ran, as root on a hybrid host (controllers of v1) with Linux 6.18: podman 4.3 (`podman --cgroup-manager
cgroupfs --runtime <script>`, a script because --runtime takes a program's path): run, exec, attach to a
terminal, pause, stop, kill, stats, pods, volumes and their propagation, --read-only, --privileged, --uidmap,
--user, --cap-drop, seccomp, sysctls, devices, host namespaces. runtime-tools' validation (46 programs, of
2023): what it finds wrong is that mounts are listed in another order than they were made in (sources are
opened first, and the kernel lists by age), that cpu.shares comes back rounded (it passes through cpu.weight),
that memory.reservation is refused with v1, that a mount namespace is needed, that /sys/fs/cgroup/devices is
not used (an eBPF program on the v2 hierarchy decides), and that a command which is not there is refused by
`create` already.
containerd 1.6 (`ctr run --runtime io.containerd.runc.v2 --runc-binary <script>`): run in the foreground and
detached, exec, terminals, pause, kill, delete, metrics, limits, a command that is not there.
Without root: `run` with one id mapped. Not run: containerd's CRI, hosts with v2 alone, arm64.
"""
