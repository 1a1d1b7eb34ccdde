"""Who a container's process is: an image's `user` by name, looked up in the container's own files.

Source: moby/sys, user/user.go (GetExecUser); OCI image specification, config.md, `User`. Numbers need no
entry in /etc/passwd. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubelab.cluster.runtime.config import User


@dataclass(frozen=True, slots=True)
class Account:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str


class UnknownUserError(Exception):
    """The container has no such user or group; worded as upstream."""


def accounts(passwd: str) -> Iterator[Account]:
    """Yield the accounts that *passwd* has; lines that are none are passed over."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal():
            yield Account(fields[0], int(fields[2]), int(fields[3]), fields[5])


def _groups(text: str) -> Iterator[tuple[str, int, list[str]]]:
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdecimal():
            yield fields[0], int(fields[2]), fields[3].split(",")


def find_user(wanted: str, passwd: str, group: str, user: User) -> User:
    """Return who *wanted* is (`name`, `uid`, `name:group`, ...); *user* has what else is asked for.

    Raises:
        UnknownUserError: a name that the files do not have.
    """
    name, _, group_name = wanted.partition(":")
    account = _account(name, accounts(passwd))
    if account is None and not name.isdecimal():
        raise UnknownUserError(f"unable to find user {name}: no matching entries in passwd file")
    uid = account.uid if account else int(name)
    gid = _gid(group_name, group) if group_name else account.gid if account else 0
    extra = () if group_name or account is None else _memberships(account.name, group)
    return User(uid, gid, user.umask, tuple(dict.fromkeys((*user.additional_gids, *extra))))


def _account(name: str, found: Iterable[Account]) -> Account | None:
    matching = (each for each in found if name in (each.name, str(each.uid)))
    return next(matching, None)


def _gid(name: str, group: str) -> int:
    for each, gid, _ in _groups(group):
        if name in (each, str(gid)):
            return gid
    if name.isdecimal():
        return int(name)
    raise UnknownUserError(f"unable to find group {name}: no matching entries in group file")


def _memberships(name: str, group: str) -> tuple[int, ...]:
    return tuple(gid for _, gid, members in _groups(group) if name in members)


def home_of(uid: int, passwd: str) -> str:
    """Return the home directory that the container's files give the user; / for one they do not know."""
    return next((each.home for each in accounts(passwd) if each.uid == uid), "") or "/"
