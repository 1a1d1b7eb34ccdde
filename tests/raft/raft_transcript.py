"""One line for each message, as transcripts show it."""

from kubelab.cluster.raft.messages import Message, MessageType


def describe(message: Message) -> str:
    """Return one line for a transcript."""
    parts = [f"{message.sender}>{message.receiver} {message.type.name} term {message.term}"]
    if message.type in {MessageType.APPEND, MessageType.VOTE, MessageType.PRE_VOTE}:
        parts.append(f"after {message.index}/{message.log_term}")
    if message.type is MessageType.APPEND_ANSWER:
        parts.append(f"upto {message.index}" if not message.reject else f"at {message.index}")
    if message.entries:
        parts.append("entries " + " ".join(f"{entry.index}/{entry.term}" for entry in message.entries))
    if message.snapshot is not None:
        parts.append(f"snapshot {message.snapshot.index}/{message.snapshot.term}")
    if message.commit:
        parts.append(f"commit {message.commit}")
    if message.reject:
        parts.append(f"REFUSED hint {message.reject_hint}" if message.reject_hint else "REFUSED")
    return ", ".join(parts)
