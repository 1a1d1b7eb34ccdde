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
"""
