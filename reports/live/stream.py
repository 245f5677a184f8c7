"""What one client has been told: numbered messages, and for each subscription the values as they were sent.

There is no queue. What is new for a client is the difference between its feed and what it was told last, so a slow
client costs nothing but that memory, and always gets the newest value next.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from reports.live.access import Holder
from reports.live.feed import Feed
from reports.live.protocol import values_text

KEPT_MESSAGES: Final = 16
KEPT_BYTES: Final = 32 * 1024
"""Of the messages that a client may ask for again."""
PATIENCE: Final = 0.9
"""A tenth of the period is let off, or news that come at the same rhythm would wait for a whole one."""


@dataclass(eq=False, slots=True)
class Subscription:
    """Metrics over one question. `sent` holds what the client knows; empty before its snapshot."""

    id: str
    feed: Feed
    metrics: tuple[str, ...]
    period: float
    wake: Callable[[], None]
    sent: dict[str, str] = field(default_factory=dict)
    next_at: float = float("-inf")

    @property
    def is_ready(self) -> bool:
        """Whether every value is known."""
        return all(name in self.feed.values for name in self.metrics)

    def changed(self) -> dict[str, str]:
        """Values that the client does not have yet."""
        values = self.feed.values
        return {name: values[name] for name in self.metrics if values[name] != self.sent.get(name)}


@dataclass(slots=True, frozen=True)
class Message:
    """A snapshot or delta. Kept in parts: those are shared with every socket that was told the same, a text is not."""

    kind: str
    id: str
    seq: int
    head: str
    values: dict[str, str]

    @property
    def text(self) -> str:
        return values_text(self.kind, id_=self.id, seq=self.seq, head=self.head, values=self.values)


class Stream:
    """Survives its socket for a while, so that a client that comes back need not begin anew."""

    def __init__(self, holder: Holder, wake: Callable[[], None]) -> None:
        self.session = secrets.token_urlsafe(12)
        self.holder = holder
        self.subscriptions: dict[str, Subscription] = {}
        self.seq = 0
        self.wake = wake
        self._kept: deque[tuple[Message, int]] = deque()
        self._kept_bytes = 0

    def put(self, subscription: Subscription) -> None:
        """Add a subscription, in place of the one of its id."""
        subscription.feed.add(subscription)
        self.drop(subscription.id)
        self.subscriptions[subscription.id] = subscription

    def drop(self, id_: str) -> None:
        """Remove a subscription, if there is one of that id."""
        if (former := self.subscriptions.pop(id_, None)) is not None:
            former.feed.remove(former)

    def due(self, now: float) -> Iterator[str]:
        """The messages to send now; each counts as sent once it is taken. `now` is the loop's clock."""
        for subscription in list(self.subscriptions.values()):
            if now < subscription.next_at or not subscription.is_ready:
                continue
            changed = subscription.changed()
            if changed:
                subscription.next_at = now + PATIENCE * subscription.period
                yield self._message(subscription, changed)

    def next_at(self) -> float:
        """When something that is new already may be sent; infinity when nothing is."""
        waiting = (each.next_at for each in self.subscriptions.values() if each.is_ready and each.changed())
        return min(waiting, default=float("inf"))

    def kept_after(self, seq: int) -> list[str] | None:
        """The messages after number `seq`, None when some of them are not kept any more."""
        if not 0 <= seq <= self.seq or (seq < self.seq and (not self._kept or self._kept[0][0].seq > seq + 1)):
            return None
        return [message.text for message, _ in self._kept if message.seq > seq]

    def begin_anew(self) -> None:
        """The next message of each subscription is a snapshot, at once."""
        for subscription in self.subscriptions.values():
            subscription.sent = {}
            subscription.next_at = float("-inf")

    def as_of(self) -> datetime | None:
        """The moment up to which all of its numbers are known to be true."""
        moments = [each.feed.as_of for each in self.subscriptions.values()]
        return None if None in moments else min((moment for moment in moments if moment), default=None)

    def _message(self, subscription: Subscription, changed: dict[str, str]) -> str:
        self.seq += 1
        kind = "delta" if subscription.sent else "snapshot"
        message = Message(kind, subscription.id, self.seq, subscription.feed.head, changed)
        subscription.sent = subscription.sent | changed
        text = message.text
        self._keep(message, len(text))
        return text

    def _keep(self, message: Message, size: int) -> None:
        self._kept.append((message, size))
        self._kept_bytes += size
        while len(self._kept) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popleft()[1]
