"""Words in double quotes, as Go's %q writes them into upstream's messages."""

import msgspec


def quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
