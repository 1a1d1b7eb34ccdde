"""The default seccomp profile: what a container's programs need of the kernel, and no more.

Source: moby/profiles, seccomp/default.json, which containerd's and podman's agree with but for details; the
calls that a capability is for are allowed to who has it. Left out: processors other than x86-64 and arm64.
Pure.
"""
# ruff: noqa: SIM905

import errno
import functools

from kubelab.cluster.linux.seccomp_profile import Seccomp, SeccompArgument, SeccompRule

_ALLOWED = tuple(
    (
        """
        accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
        clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range
        creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
        epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
        fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
        fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex
        futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
        getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
        getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
        getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init
        inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
        ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
        lchown lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek
        lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir
        mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify
        mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
        munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
        pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
        pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6
        ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg
        recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir
        rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
        rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
        semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
        setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
        setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown
        sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat
        sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete
        timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
        tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4
        waitid write writev
        """
    ).split()
)
_WITH_CAPABILITY = {
    "SYS_ADMIN": tuple(
        (
            """
            bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
            lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open
            quotactl quotactl_fd setdomainname sethostname setns syslog umount2 unshare
            """
        ).split()
    ),
    "DAC_READ_SEARCH": ("open_by_handle_at",),
    "SYS_BOOT": ("reboot",),
    "SYS_CHROOT": ("chroot",),
    "SYS_MODULE": ("delete_module", "init_module", "finit_module"),
    "SYS_PACCT": ("acct",),
    "SYS_PTRACE": (
        "kcmp",
        "pidfd_getfd",
        "process_madvise",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
    ),
    "SYS_RAWIO": ("iopl", "ioperm"),
    "SYS_TIME": ("settimeofday", "clock_settime"),
    "SYS_TTY_CONFIG": ("vhangup",),
    "SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "SYSLOG": ("syslog",),
    "BPF": ("bpf",),
    "PERFMON": ("perf_event_open",),
}
_AF_VSOCK, _AF_ALG = 40, 38  # Both lead past the network namespace.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_CLONE_NAMESPACES = 0x7E020000


@functools.cache
def default_profile(capabilities: frozenset[str]) -> Seccomp:
    """Return the profile for a process whose bounding set is *capabilities* (without CAP_)."""
    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno=errno.EPERM,
        rules=(
            _allow(*_ALLOWED),
            *_SOCKETS,
            *_PERSONALITY_RULES,
            *_clone(capabilities),
            *_granted(capabilities),
        ),
    )


def _allow(*names: str, arguments: tuple[SeccompArgument, ...] = ()) -> SeccompRule:
    return SeccompRule(names, "SCMP_ACT_ALLOW", arguments=arguments)


_SOCKETS = (
    _allow("socket", arguments=(SeccompArgument(0, _AF_ALG, 0, "SCMP_CMP_LT"),)),
    _allow("socket", arguments=(SeccompArgument(0, 39, 0, "SCMP_CMP_EQ"),)),
    _allow("socket", arguments=(SeccompArgument(0, _AF_VSOCK, 0, "SCMP_CMP_GT"),)),
)
_PERSONALITY_RULES = tuple(
    _allow("personality", arguments=(SeccompArgument(0, value, 0, "SCMP_CMP_EQ"),))
    for value in _PERSONALITIES
)


def _clone(capabilities: frozenset[str]) -> tuple[SeccompRule, ...]:
    """New namespaces are SYS_ADMIN's. A filter cannot look into clone3's arguments: libraries take clone if
    there is no such call."""
    if "SYS_ADMIN" in capabilities:
        return ()
    flags = SeccompArgument(0, _CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ")
    return (
        _allow("clone", arguments=(flags,)),
        SeccompRule(("clone3",), "SCMP_ACT_ERRNO", errno.ENOSYS),
    )


def _granted(capabilities: frozenset[str]) -> tuple[SeccompRule, ...]:
    return tuple(_allow(*names) for name, names in _WITH_CAPABILITY.items() if name in capabilities)
