"""Watches the machines of a lab: one module per kind of thing that is watched.

What tells of a change, and what is then read:

=========== ==================================================== ==========================================
processes   the proc connector (exec, exit on the host)          `process_scan`: one file a process
            and the machine's own account of processor time
mounts      the same account: mount(2) is called by somebody     mountinfo, one per mount namespace
networks    netlink groups, in each network namespace            rtnetlink dumps, libnftables
cgroups     inotify on their directories                         the limits of those that were written to
=========== ==================================================== ==========================================

`machine.WatchedMachine` puts them together.
"""
