"""Times that clients send, corrected for clocks that are wrong (INGEST.md section 5, DECISIONS.md 16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from analytics.capture.limits import Unfit

AHEAD_KEPT: Final = timedelta(minutes=5)
AHEAD_CLAMPED: Final = timedelta(hours=23)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_SKEW: Final = timedelta(0)
EPOCH_MILLISECONDS: Final = 100_000_000_000  # below it, a number is seconds (until the year 5138)


def instant(value: Any) -> datetime | None:
    """The UTC instant that a client's value names, None when it names none.

    ISO 8601 with any offset, date only, naive (read as UTC), or epoch seconds or milliseconds as a number.
    """
    try:
        moment = _instant(value)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    return moment


def _instant(value: Any) -> datetime | None:
    if type(value) is str:
        moment = datetime.fromisoformat(value.strip() if value[-1:].isspace() or value[:1].isspace() else value)
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) >= EPOCH_MILLISECONDS else value
        return datetime.fromtimestamp(seconds, UTC)
    else:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class EventTime:
    """When an event happened, and what had to be done to the client's word to say so."""

    __slots__ = ("client", "is_clamped", "timestamp")

    def __init__(
        self,
        timestamp: datetime,
        *,
        client: str | None = None,
        is_clamped: bool = False,
    ) -> None:
        self.timestamp = timestamp
        self.client = client
        self.is_clamped = is_clamped


def event_time(raw: Any, *, received_at: datetime, sent_at: datetime | None, offset: Any = None) -> EventTime:
    """The corrected time: received − (sent − timestamp); `offset` (ms before receipt) wins over a timestamp.

    Up to 5 minutes ahead of receipt is kept, up to 23 hours becomes the receipt with the client's value kept. Raises
    `Unfit` beyond that and before 1970. Without a readable time the receipt is the time.
    """
    if offset is not None and isinstance(offset, int | float) and not isinstance(offset, bool):
        return _bounded(_before(received_at, offset), raw=offset, received_at=received_at)
    if raw is None:
        return EventTime(received_at)
    moment = instant(raw)
    if moment is None:
        return EventTime(received_at, client=str(raw)[:100])
    if sent_at is not None:
        try:
            moment += received_at - sent_at
        except OverflowError:
            raise _out_of_range(raw) from None
    return _bounded(moment, raw=raw, received_at=received_at)


def _before(received_at: datetime, milliseconds: float) -> datetime:
    try:
        return received_at - timedelta(milliseconds=milliseconds)
    except (OverflowError, ValueError):
        raise _out_of_range(milliseconds) from None


def _bounded(moment: datetime, *, raw: Any, received_at: datetime) -> EventTime:
    if moment <= received_at:
        if moment < EARLIEST:
            raise _out_of_range(raw)
        return EventTime(moment)
    ahead = moment - received_at
    if ahead <= AHEAD_KEPT:
        return EventTime(moment)
    if ahead <= AHEAD_CLAMPED:
        return EventTime(received_at, client=str(raw)[:100], is_clamped=True)
    raise _out_of_range(raw)


def _out_of_range(raw: Any) -> Unfit:
    return Unfit(
        "timestamp_out_of_range",
        f"timestamp {str(raw)[:40]} is before 1970 or more than 23 hours ahead of receipt; correct the clock",
    )
