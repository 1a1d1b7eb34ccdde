"""Change who belongs: one voter at a time, or any number through joint consensus. Pure.

A configuration counts for a member as soon as it is in its log, committed or not (Ongaro's thesis, section
4.1), and is gone again when that entry is overwritten. A change of one voter needs no joint configuration,
since any majority of before meets any of after (section 4.1, figure 4.3); more than one go through one, which
the leader leaves by itself once it is committed (section 4.3). Learners are of no majority (section 4.2.1),
so that any number of them comes and goes with a step of either kind.
Unlike etcd, which changes when the entry is applied and needs `LearnersNext` for a voter that becomes a
learner: here it votes among the `outgoing` and is a learner of the new configuration at the same time.
"""

import msgspec

from kubelab.cluster.raft.messages import Configuration, MemberId


class ConfigurationChangeError(Exception):
    """The change is not allowed, or not now; the text says why. It surely was not made."""


class LearnerNotReadyError(ConfigurationChangeError):
    """The learner that is to vote is still too far behind (section 4.2.1)."""


class ConfigurationChange(msgspec.Struct, frozen=True, array_like=True):
    """`voters` and `learners` become that, whatever they were; `removed` belong no more. `context` comes back
    in the entries of this change (`context_of`), so that whoever asked knows its own."""

    voters: tuple[MemberId, ...] = ()
    learners: tuple[MemberId, ...] = ()
    removed: tuple[MemberId, ...] = ()
    context: bytes = b""


class _Logged(Configuration, frozen=True, array_like=True):
    """What is in the log: the configuration, and behind it, for the reader who asks, whose change it was."""

    context: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode_logged = msgspec.msgpack.Decoder(type=_Logged).decode
_decode_configuration = msgspec.msgpack.Decoder(type=Configuration).decode
_decode_change = msgspec.msgpack.Decoder(type=ConfigurationChange).decode


def encode_change(change: ConfigurationChange) -> bytes:
    return _encode(change)


def decode_change(data: bytes) -> ConfigurationChange:
    return _decode_change(data)


def encode_configuration(configuration: Configuration, context: bytes = b"") -> bytes:
    return _encode(
        _Logged(configuration.voters, configuration.learners, configuration.outgoing, context=context)
    )


def decode_configuration(data: bytes) -> Configuration:
    return _decode_configuration(data)


def context_of(data: bytes) -> bytes:
    """Return the context of the change that brought the configuration entry with *data*. In joint consensus
    there are two such entries: the change is complete with the one that has no `outgoing`."""
    return _decode_logged(data).context


def changed(configuration: Configuration, change: ConfigurationChange) -> Configuration:
    """Return what is to be in the log next.

    Raises:
        ConfigurationChangeError: *configuration* is joint, or nothing or nobody would be left.
    """
    if configuration.outgoing:
        raise ConfigurationChangeError("the configuration is still joint: a change is under way")
    _check(change)
    voters = (set(configuration.voters) | set(change.voters)) - set(change.learners) - set(change.removed)
    learners = (set(configuration.learners) | set(change.learners)) - set(change.voters) - set(change.removed)
    if not voters:
        raise ConfigurationChangeError("nobody would be left to vote")
    new = Configuration(tuple(sorted(voters)), tuple(sorted(learners)))
    if new == configuration:
        raise ConfigurationChangeError("nothing would change")
    if len(voters ^ set(configuration.voters)) > 1:
        return Configuration(new.voters, new.learners, outgoing=configuration.voters)
    return new


def _check(change: ConfigurationChange) -> None:
    named = [*change.voters, *change.learners, *change.removed]
    if len(named) != len(set(named)) or 0 in named:
        raise ConfigurationChangeError("each member may be named once, and 0 is nobody")


def left(configuration: Configuration) -> Configuration:
    """Return what follows a joint configuration: the new one alone."""
    return Configuration(configuration.voters, configuration.learners)


def members(configuration: Configuration) -> frozenset[MemberId]:
    """Return all who hear from the leader."""
    return frozenset((*configuration.voters, *configuration.learners, *configuration.outgoing))
