"""The nftables rules of a network namespace, in the words of nft(8).

Source: nft(8), libnftables(3), linux/netfilter/nf_tables.h. The kernel knows rules as programs; only
libnftables makes text of them again. It is loaded by ctypes (a millisecond), else `nft` is run (20). Whether
there is any table at all is asked of the kernel itself, so that neither is missed where there are no rules.
Left out: sets, maps and chains' own settings; counters' values, which change all the time.
"""

import ctypes
import shutil
import socket
import subprocess
from collections.abc import Iterator

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux.namespaces import call_in_network
from kubelab.cluster.linux.netlink import Netlink
from kubelab.language import Text

LIBRARY = "libnftables.so.1"
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHANGES_MASK = 1 << 7 - 1  # The group NFNLGRP_NFTABLES, in which the kernel tells of changes.
TIMEOUT_S = 5.0
_NETLINK_NETFILTER = 12
_GETTABLE = 10 << 8 | 1  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE
_ANY_FAMILY = bytes(4)
_STATELESS = 1 << 2
_LIST = "list ruleset"


def open_netfilter() -> socket.socket:
    """Return a socket of the network namespace that the calling thread is in."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)


def has_tables(netfilter: Netlink) -> bool:
    """Tell whether there is any table; *netfilter* is a netfilter socket of the namespace."""
    try:
        return bool(list(netfilter.dump(_GETTABLE, _ANY_FAMILY)))
    except KernelError:  # This kernel has no nf_tables at all.
        return False


def list_ruleset(netns_fd: int) -> str:
    """Return what `nft --stateless list ruleset` prints in the network namespace.

    Raises:
        LabError: neither libnftables nor nft is installed, or they failed.
    """
    library = _library()
    if library is not None:
        return call_in_network(netns_fd, lambda: _ask_library(library))
    program = shutil.which("nft", path=PROGRAM_PATH)
    if program is None:
        raise LabError(_NOT_INSTALLED)
    return call_in_network(netns_fd, lambda: _ask_program(program))


def rules(ruleset: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield family, table, chain and text of each rule.

    nft indents with tabs: tables with none, chains and sets with one, rules with two, what belongs to a rule
    (an anonymous chain, a long list) with more, and its closing brace with two.
    """
    family = table = chain = ""
    text: list[str] = []
    for line in [*ruleset.splitlines(), ""]:
        depth, words = len(line) - len(line.lstrip("\t")), line.strip()
        if text and (depth > 2 or (depth == 2 and words.startswith("}"))):
            text.append(words)
            continue
        if text:
            yield family, table, chain, " ".join(text)
            text = []
        if depth == 0 and words.startswith("table "):
            _, family, table, *_ = words.split()
        elif depth == 1:
            chain = words.split()[1] if words.startswith("chain ") else ""
        elif depth == 2 and chain and not words.startswith(_NO_RULES):
            text = [words]


_NO_RULES = ("type ", "policy ", "comment ", "flags ")  # The chain's own settings.


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def _ask_library(library: ctypes.CDLL) -> str:
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, _STATELESS)
        if library.nft_run_cmd_from_buffer(context, _LIST.encode()):
            raise LabError(_FAILED.format(why=_line(library.nft_ctx_get_error_buffer(context))))
        return str(library.nft_ctx_get_output_buffer(context).decode(errors="replace"))
    finally:
        library.nft_ctx_free(context)


def _ask_program(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--stateless", *_LIST.split()], capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(_FAILED.format(why=error)) from None
    if done.returncode:
        raise LabError(_FAILED.format(why=_line(done.stderr)))
    return done.stdout.decode(errors="replace")


def _line(output: bytes | None) -> str:
    return " ".join((output or b"").decode(errors="replace").split())


_NOT_INSTALLED = Text(
    es="Las reglas de nftables no se pueden leer sin nft: instálalo con `sudo apt install nftables`.",
    en="The rules of nftables cannot be read without nft: install it with `sudo apt install nftables`.",
)
_FAILED = Text(
    es="nft no pudo listar las reglas ({why}): prueba `nft list ruleset`.",
    en="nft could not list the rules ({why}): try `nft list ruleset`.",
)
