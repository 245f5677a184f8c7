"""What one tenant's numbers must be, told by the rules of the house (CONVENTIONS, DECISIONS 14 to 20), in lists.

It imports nothing of the product, remembers everything, and answers by going through all of it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Message = dict[str, Any]
Claim = tuple[str, str, str, str]  # left, right, kind, and the number of one made by hand
ILLEGAL = {"guest", "null", "anonymous"}
LINKS = {
    "$identify": ("identify", "$anon_distinct_id"),
    "$create_alias": ("alias", "alias"),
    "$merge_dangerously": ("merge", "alias"),
}
CURRENCIES = {"EUR", "NPR", "USD"}


class Unfit(Exception):
    """The message cannot be kept as it is."""


@dataclass(frozen=True)
class Told:
    """A stored event. `amount` is None without money or without a rate for its currency."""

    name: str
    ts: datetime
    who: str | None
    country: str | None
    amount: Decimal | None
    is_internal: bool


@dataclass
class Held:
    """A message in quarantine; what it would be if it were let in, if that is known already."""

    message: Message
    received_at: datetime
    sent_at: datetime | None
    outcome: str
    told: Told | None = None


@dataclass
class Reference:
    """One tenant: what was told, what is held, who said that who is whom, and the ledger."""

    zone: ZoneInfo
    currency: str
    told: list[Told] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    held: dict[tuple[str, ...], Held | None] = field(default_factory=dict)
    claims: dict[Claim, tuple[datetime, str]] = field(default_factory=dict)
    undone: set[Claim] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    ledger: Counter[tuple[datetime, str]] = field(default_factory=Counter)
    received: Counter[datetime] = field(default_factory=Counter)

    # --- What happens ---

    def receive(self, message: Message, received_at: datetime, sent_at: datetime | None = None) -> str:
        """The outcome of one message, by which it is counted in the hour of its receipt."""
        self.received[_hour(received_at)] += 1
        outcome = self._outcome(message, received_at, sent_at)
        self.ledger[_hour(received_at), outcome] += 1
        return outcome

    def _outcome(self, message: Message, received_at: datetime, sent_at: datetime | None) -> str:
        try:
            told = self._read(message, received_at, sent_at)
        except Unfit:
            key = (message["uuid"], content(message), received_at.isoformat())
            self.held.setdefault(key, Held(message, received_at, sent_at, "quarantined"))
            return "quarantined"
        if told.who in self.erased:
            return "rejected"
        known = self.contents.get(message["uuid"])
        if known == content(message):
            return "duplicate"
        if known is not None:
            self.held.setdefault(
                (message["uuid"], content(message)), Held(message, received_at, sent_at, "conflict", told)
            )
            return "conflict"
        self.contents[message["uuid"]] = content(message)
        self._store(message, told)
        return "stored"

    def _read(self, message: Message, received_at: datetime, sent_at: datetime | None) -> Told:
        properties, who = message["properties"], message["distinct_id"]
        currency = properties.get("currency", self.currency)
        is_number_bad = any(isinstance(value, float) and not math.isfinite(value) for value in properties.values())
        if not message["event"] or is_number_bad or len(who or "") > 400 or currency not in CURRENCIES:
            raise Unfit
        ts = _corrected(datetime.fromisoformat(message["timestamp"]), received_at, sent_at)
        has_worth = "amount" in properties and currency == self.currency
        amount = Decimal(str(properties["amount"])) if has_worth else None
        return Told(message["event"], ts, who, properties.get("country"), amount, "$internal" in properties)

    def _store(self, message: Message, told: Told) -> None:
        self.told.append(told)
        if told.who is None:
            return
        self.seen.add(told.who)
        kind, key = LINKS.get(told.name, ("", ""))
        other = message["properties"].get(key)
        if kind and told.who not in ILLEGAL:
            if other not in (None, told.who, *ILLEGAL, *self.erased):
                self.seen.add(other)
                self._claim((told.who, other, kind, ""), told.ts, message["uuid"])
            self._claim((told.who, told.who, "identify", ""), told.ts, message["uuid"])

    def _claim(self, claim: Claim, ts: datetime, event_id: str) -> None:
        self.claims[claim] = min(self.claims.get(claim, (ts, event_id)), (ts, event_id))

    def merge(self, left: str, right: str, ts: datetime, number: str) -> None:
        """Somebody says by hand that two ids are one person."""
        self._claim((left, right, "manual", number), ts, number)

    def replay(self) -> None:
        """Every held message is tried again as of its first receipt; who gets in leaves its former outcome."""
        waiting = [(key, held) for key, held in self.held.items() if held is not None]
        for key, held in sorted(waiting, key=lambda item: item[1].received_at):
            if held.told is not None:  # a conflict becomes an event of its own
                self._store(held.message, held.told)
                outcome = "stored"
            else:
                # A number that cannot be kept is held as a text.
                texts = {k: str(v) if isinstance(v, float) else v for k, v in held.message["properties"].items()}
                try:
                    self._read({**held.message, "properties": texts}, held.received_at, held.sent_at)
                except Unfit:
                    continue
                outcome = self._outcome({**held.message, "properties": texts}, held.received_at, held.sent_at)
            self.held[key] = None
            self.ledger[_hour(held.received_at), held.outcome] -= 1
            self.ledger[_hour(held.received_at), outcome] += 1

    def erase(self, who: str) -> None:
        """The person's ids become unknown, late events are refused, held ones that mention them are dropped."""
        persons = self.persons()
        gone = {each for each in self.seen if who in persons and persons.get(each) == persons[who]} | {who}
        self.erased |= gone
        for key, held in self.held.items():
            if held and gone & {held.message["distinct_id"], *map(str, held.message["properties"].values())}:
                self.held[key] = None

    # --- What is asked ---

    def persons(self) -> dict[str, str]:
        """Each id's person: claims in the order of (event time, id); who is somebody is not taken over."""
        of = {each: each for each in self.seen}
        known: set[str] = set()
        for claim, _ in sorted(self.claims.items(), key=lambda item: (*item[1], item[0][0] == item[0][1])):
            left, right, kind = of[claim[0]], of[claim[1]], claim[2]
            blocked = {"identify": right in known, "alias": {left, right} <= known}.get(kind, False)
            if claim in self.undone:
                continue
            if left == right or not blocked:
                of = {each: left if person == right else person for each, person in of.items()}
                known.add(left)
            elif kind == "identify":
                known.add(left)
        return of

    def in_person(self) -> list[Told]:
        """Everything stored, with its person instead of the id."""
        persons = self.persons()
        return [replace(told, who=None if told.who is None else persons[told.who]) for told in self.told]

    def day(self, instant: datetime, days: int = 0) -> datetime:
        """The local midnight that begins the instant's day, or one `days` later."""
        return self.midnight(instant.astimezone(self.zone).date() + timedelta(days=days))

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def slots(self, start: datetime, end: datetime, grain: str) -> list[tuple[datetime, datetime]]:
        """Local days or local hours that the range touches, cut to it."""
        found, at = [], start
        while at < end:
            local = at.astimezone(self.zone)
            full_hour = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC) + timedelta(hours=1)
            following = min(end, self.day(at, 1) if grain == "day" else full_hour)
            found.append((at, following))
            at = following
        return found


def content(message: Message) -> str:
    """What makes two messages of one id the same: name, distinct id, client's time, properties."""
    return json.dumps([message[key] for key in ("event", "distinct_id", "timestamp", "properties")], sort_keys=True)


def _corrected(ts: datetime, received_at: datetime, sent_at: datetime | None) -> datetime:
    ts += received_at - sent_at if sent_at else timedelta()
    if ts - received_at > timedelta(hours=23) or ts.year < 1970:
        raise Unfit
    return received_at if ts - received_at > timedelta(minutes=5) else ts


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)
