"""What is said over the socket: messages of the client as typed values, messages of the server as text, and all limits.

Client: `auth`, `subscribe`, `unsubscribe`, `resume`, `ping`. Server: `hello`, `snapshot`, `delta`, `beat`, `resumed`,
`resync`, `pong`, `error`. Snapshots and deltas are numbered from 1 without a gap; `beat` repeats the last number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

# --- Limits -----------------------------------------------------------------------------------------------------------
MESSAGE_BYTES: Final = 8 * 1024
MESSAGES_PER_SECOND: Final = 5.0
MESSAGES_AT_ONCE: Final = 20
SUBSCRIPTIONS: Final = 5
METRICS: Final = 60
SOCKETS_OF_TENANT: Final = 1000
SOCKETS_OF_PROCESS: Final = 4000
QUESTIONS_OF_PROCESS: Final = 1000
QUESTIONS_OF_TENANT: Final = 250

# --- Seconds ----------------------------------------------------------------------------------------------------------
AUTH_SECONDS: Final = 5.0
"""How long a socket without a credential may stay silent."""
BEAT_SECONDS: Final = 15.0
SLOW_SECONDS: Final = 10.0
"""A client that takes nothing for so long is let go."""

# --- Why a socket was closed ------------------------------------------------------------------------------------------
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
SLOW: Final = 4408
FLOOD: Final = 4429
TOO_LARGE: Final = 1009
BROKEN: Final = 1011
RESTARTING: Final = 1012
BUSY: Final = 1013

SUBPROTOCOL: Final = "bellwether.live"
BEARER: Final = "bearer."
"""`Sec-WebSocket-Protocol: bellwether.live, bearer.<token>` for clients that cannot set headers."""

Id = Annotated[str, Meta(max_length=64)]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]


class Auth(msgspec.Struct, tag="auth", forbid_unknown_fields=True):
    """A key or access token, as the first message."""

    token: Token


class Subscribe(msgspec.Struct, tag="subscribe", forbid_unknown_fields=True):
    """Values of metrics over one question, at most every `period` seconds; replaces the subscription of that `id`.

    The question is that of the API: `range` is short for `{"period": …}`, `query` its parameters as an object or as
    text. `realtime` is the last 30 minutes.
    """

    metrics: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=1, max_length=METRICS)]
    period: Annotated[float, Meta(ge=1, le=300)] = 5.0
    range: Annotated[str, Meta(max_length=100)] = ""
    query: Annotated[str, Meta(max_length=2000)] | dict[str, str] = ""
    id: Id = ""


class Unsubscribe(msgspec.Struct, tag="unsubscribe", forbid_unknown_fields=True):
    """No more of the subscription."""

    id: Id = ""


class Resume(msgspec.Struct, tag="resume", forbid_unknown_fields=True):
    """Everything after `seq`: of this socket, or of the one whose `hello` named the session."""

    seq: Annotated[int, Meta(ge=0)]
    session: Id = ""


class Ping(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    """Are you there?"""


ClientMessage = Auth | Subscribe | Unsubscribe | Resume | Ping
_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class Complaint(Exception):
    """The client asked for something that cannot be done. It is told, and the socket stays open."""

    def __init__(self, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


def message_read(text: str) -> ClientMessage:
    """The message of a client. Raises Complaint."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Complaint("invalid_message", f"This message is not understood: {error}.") from None


def text_of(kind: str, **fields: Any) -> str:
    """A message of the server."""
    return msgspec.json.encode({"type": kind, **fields}).decode()


def values_text(kind: str, *, id_: str, seq: int, head: str, values: Mapping[str, str]) -> str:
    """A snapshot or delta. Its values were written once for all sockets, and so was `head` (see `head_of`)."""
    named = f'"id":{_quoted(id_)},' if id_ else ""
    listed = ",".join(f"{_quoted(metric)}:{value}" for metric, value in values.items())
    return f'{{"type":"{kind}",{named}"seq":{seq},{head},"values":{{{listed}}}}}'


def head_of(*, as_of: datetime, data_through: datetime | None, origin: str) -> str:
    """The part of a message that says how far its numbers can be trusted, without the braces."""
    head = {"as_of": as_of, "data_through": data_through, "origin": origin}
    return msgspec.json.encode(head).decode()[1:-1]


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
