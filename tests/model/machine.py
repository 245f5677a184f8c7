"""Stories that nobody would think of: random steps done to the product and to the reference, and the two compared."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kpis.base import Condition
from tests.model.metrics import METRICS, value_of
from tests.model.product import Product, write
from tests.model.reference import Message, Reference, content

# Before the clocks of Paris change in spring and in autumn, at a turn of the year, and on a plain day.
BEGINNINGS = [
    datetime(2026, 3, 28, 22, 40, tzinfo=UTC),
    datetime(2026, 10, 24, 22, 50, tzinfo=UTC),
    datetime(2026, 12, 31, 21, 10, tzinfo=UTC),
    datetime(2026, 6, 10, 10, 5, tzinfo=UTC),
]
HOMES = (("acme", "Europe/Paris", "EUR"), ("globex", "Asia/Kathmandu", "NPR"))
ZONES = ["Europe/Paris", "Asia/Kathmandu", "America/New_York", "UTC"]
PEOPLE = ["ada", "bob", "cid", "phone", "laptop", "tablet", "guest"]
MINUTE = timedelta(minutes=1)

tenants = st.integers(0, 1)
people = st.sampled_from(PEOPLE)
ago = st.sampled_from([0, 0, 0, 1, 7, 29, 31, 61, 125, 600]).map(lambda minutes: minutes * MINUTE)
long_ago = st.sampled_from([1, 2, 3, 6, 9]).map(lambda days: timedelta(days=days))
ahead = st.sampled_from([3, 4, 180, 1370]).map(lambda minutes: -minutes * MINUTE)
countries = st.sampled_from([None, "FR", "NP", "DE"])
NAMES = [
    "$pageview",
    "$pageview",
    "product_viewed",
    "$set",
    "$pageleave",
    "order_completed",
    "order_completed",
    "order_refunded",
]
roles = st.sampled_from(["ingest", "app"])
cents = st.integers(-500, 9999)


class Story(RuleBasedStateMachine):
    """Two tenants, one clock."""

    @initialize(beginning=st.sampled_from(BEGINNINGS))
    def begin(self, beginning: datetime) -> None:
        self.now, self.told = beginning, 0
        mark = uuid.uuid4().hex[:12]
        self.products = [Product.make(f"{name}-{mark}", zone, currency) for name, zone, currency in HOMES]
        self.references = [Reference(ZoneInfo(zone), currency) for _, zone, currency in HOMES]
        self.sent: list[tuple[int, Message]] = []

    # --- What happens ---

    @rule(data=st.data(), count=st.integers(1, 5), role=roles)
    def send(self, data: st.DataObject, count: int, role: str) -> None:
        """A batch of both tenants."""
        self._deliver([(data.draw(tenants), self._message(data, data.draw(ago), 0)) for _ in range(count)], role, 0)

    @rule(data=st.data(), tenant=tenants, who=people)
    def send_day(self, data: st.DataObject, tenant: int, who: str) -> None:
        """What one person did today."""
        messages = [self._message(data, data.draw(ago), 0) for _ in range(3)]
        self._deliver([(tenant, {**message, "distinct_id": who}) for message in messages], "app", 0)

    @rule(data=st.data(), tenant=tenants, role=roles, skew=st.sampled_from([90, -70, -4000]))
    def send_with_wrong_clock(self, data: st.DataObject, tenant: int, role: str, skew: int) -> None:
        """The sender's clock is wrong by `skew` minutes, and it says when it sent."""
        self._deliver([(tenant, self._message(data, data.draw(ago), skew)) for _ in range(2)], role, skew)

    @rule(data=st.data(), tenant=tenants, before=long_ago, count=st.integers(1, 2))
    def send_late(self, data: st.DataObject, tenant: int, before: timedelta, count: int) -> None:
        """Events of days before."""
        self._deliver([(tenant, self._message(data, before + data.draw(ago), 0)) for _ in range(count)], "ingest", 0)

    @rule(data=st.data(), tenant=tenants, lead=ahead)
    def send_from_the_future(self, data: st.DataObject, tenant: int, lead: timedelta) -> None:
        self._deliver([(tenant, self._message(data, lead, 0))], "ingest", 0)

    @rule(
        tenant=tenants,
        kind=st.sampled_from(sorted(["$identify", "$create_alias", "$merge_dangerously"])),
        who=people,
        other=people,
        before=st.one_of(ago, long_ago),
    )
    def link(self, tenant: int, kind: str, who: str, other: str, before: timedelta) -> None:
        """Somebody is somebody else, now or as of days ago."""
        key = "$anon_distinct_id" if kind == "$identify" else "alias"
        self._deliver([(tenant, self._stamped(kind, who, {key: other}, before))], "ingest", 0)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), count=st.integers(1, 4), role=st.sampled_from(["ingest", "app"]))
    def retry(self, data: st.DataObject, count: int, role: str) -> None:
        """The same messages again, later."""
        self._deliver([data.draw(st.sampled_from(self.sent)) for _ in range(count)], role, 0)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), times=st.integers(1, 2))
    def conflict(self, data: st.DataObject, times: int) -> None:
        """Another message under an id that was used."""
        tenant, message = data.draw(st.sampled_from(self.sent))
        changed = {**message, "properties": {**message["properties"], "note": data.draw(st.sampled_from(["x", "y"]))}}
        self._deliver([(tenant, changed)] * times, "ingest", 0, is_new=False)

    @rule(data=st.data(), tenant=tenants, kind=st.sampled_from(["name", "number", "currency", "who", "early", "late"]))
    def poison(self, data: st.DataObject, tenant: int, kind: str) -> None:
        """A message that cannot be kept, between good neighbours."""
        bad = self._message(data, timedelta(), 0)
        spoiled: dict[str, Message] = {
            "name": {"event": ""},
            "number": {"properties": {**bad["properties"], "n": float("nan")}},
            "currency": {"properties": {"amount": 1.5, "currency": "EURO"}},
            "who": {"distinct_id": "x" * 401},
            "early": {"timestamp": "1969-12-31T23:59:59+00:00"},
            "late": {"timestamp": (self.now + timedelta(hours=24)).isoformat()},
        }
        bad |= spoiled[kind]
        neighbours = [(tenant, self._message(data, data.draw(ago), 0)) for _ in range(2)]
        self._deliver([neighbours[0], (tenant, bad), neighbours[1]], "ingest", 0, is_new=kind == "number")

    @precondition(lambda self: any(self._mergeable(tenant) for tenant in (0, 1)))
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        """By hand, from the admin."""
        tenant = data.draw(st.sampled_from([each for each in (0, 1) if self._mergeable(each)]))
        left, right = (data.draw(st.sampled_from(self._mergeable(tenant))) for _ in range(2))
        self.told += 1
        number = f"m{self.told:06}"
        self.products[tenant].merge(left, right, number, self._tick())
        self.references[tenant].merge(left, right, self.now, number)

    @precondition(lambda self: any(self._undoable(tenant) for tenant in (0, 1)))
    @rule(data=st.data())
    def unmerge(self, data: st.DataObject) -> None:
        tenant = data.draw(st.sampled_from([each for each in (0, 1) if self._undoable(each)]))
        claim = data.draw(st.sampled_from(self._undoable(tenant)))
        self.products[tenant].unmerge(claim, self._tick())
        self.references[tenant].undone.add(claim)

    @rule(tenant=tenants, who=people)
    def erase(self, tenant: int, who: str) -> None:
        self.products[tenant].erase(who, self._tick())
        self.references[tenant].erase(who)

    @rule(tenant=tenants)
    def replay(self, tenant: int) -> None:
        """Everything in quarantine is tried again."""
        self.products[tenant].replay(self._tick())
        self.references[tenant].replay()

    @rule(minutes=st.sampled_from([1, 19, 31, 59, 61, 200, 1500, 4000]))
    def wait(self, minutes: int) -> None:
        """Hours close, days end, clocks change."""
        self.now += minutes * MINUTE

    # --- What must change nothing ---

    @rule(tenant=tenants)
    def refresh(self, tenant: int) -> None:
        self.products[tenant].refresh(self._tick())

    @rule(tenant=tenants)
    def close_hours(self, tenant: int) -> None:
        self.products[tenant].close_hours(self._tick())

    @rule(tenant=tenants)
    def backfill(self, tenant: int) -> None:
        self.products[tenant].backfill(self._tick())

    @rule(tenant=tenants, zone=st.sampled_from(ZONES))
    def move(self, tenant: int, zone: str) -> None:
        """The tenant's days are those of another zone from now on, and were."""
        if self.references[tenant].zone.key != zone:
            self.products[tenant].move(zone, self._tick())
            self.references[tenant].zone = ZoneInfo(zone)

    # --- What is asked ---

    @rule(
        tenant=tenants,
        metric=st.sampled_from(sorted(METRICS)),
        days=st.sampled_from([0, 1, 2, 9]),
        internal=st.booleans(),
    )
    def ask_days(self, tenant: int, metric: str, days: int, internal: bool) -> None:
        """The last days, each and together."""
        reference = self.references[tenant]
        self._ask(tenant, metric, reference.day(self.now, -days), reference.day(self.now, 1), "day", internal=internal)

    @rule(
        tenant=tenants,
        metric=st.sampled_from(sorted(set(METRICS) - {"users.wau"})),
        start=st.integers(0, 3000),
        length=st.integers(1, 1600),
    )
    def ask_hours(self, tenant: int, metric: str, start: int, length: int) -> None:
        """Any minutes, by the hour."""
        begin = self.now.replace(second=0, microsecond=0) - start * MINUTE
        self._ask(tenant, metric, begin, begin + length * MINUTE, "hour")

    @rule(
        tenant=tenants,
        metric=st.sampled_from(["events.count", "users.active", "orders.count", "revenue.gross"]),
        country=st.sampled_from(["", "FR", "NP"]),
    )
    def ask_countries(self, tenant: int, metric: str, country: str) -> None:
        """Ten days by country, out of the buckets."""
        reference, product = self.references[tenant], self.products[tenant]
        start, end = reference.day(self.now, -9), reference.day(self.now, 1)
        self.products[tenant].refresh(self._tick())
        total, _, parts, executor = product.values(metric, start, end, "day", self.now, by="country")
        expected = value_of(reference, metric, start, end, self.now, country=country) or Decimal(0)
        shown = "__none__" if country == "" else country
        assert (parts.get(shown) or Decimal(0), executor) == (expected, "rollup"), (metric, country)
        assert total == value_of(reference, metric, start, end, self.now), metric

    @rule(
        tenant=tenants,
        metric=st.sampled_from(["users.active", "orders.count", "revenue.gross", "users.paying"]),
        name=st.sampled_from(["$pageview", "order_completed"]),
    )
    def ask_events(self, tenant: int, metric: str, name: str) -> None:
        """A filter that no bucket knows, so that the events answer."""
        reference, product = self.references[tenant], self.products[tenant]
        start, end = reference.day(self.now, -2), reference.day(self.now, 1)
        product.refresh(self._tick())
        filters = [Condition("name", "eq", name)]
        total, points, _, executor = product.values(metric, start, end, "day", self.now, filters=filters)
        ask: Callable[..., Any] = lambda a, b: value_of(reference, metric, a, b, self.now, name=name)  # noqa: E731
        assert (total, executor) == (ask(start, end), "events"), (metric, name)
        assert points == [(a, ask(a, b)) for a, b in reference.slots(start, end, "day")], (metric, name)

    @rule(tenant=tenants)
    def ask_outcomes(self, tenant: int) -> None:
        """R6: of each hour, what was received is what it came to."""
        self._check_ledger(tenant)

    def teardown(self) -> None:
        """At the end of every story: all numbers of ten days, all cells against a recompute, the ledger."""
        if not hasattr(self, "products"):
            return
        for tenant in (0, 1):
            self._tick()
            reference = self.references[tenant]
            for metric in sorted(METRICS):
                self._ask(tenant, metric, reference.day(self.now, -12), reference.day(self.now, 1), "day")
            assert not (found := self.products[tenant].differences(self.now)), found
            self._check_ledger(tenant)

    # --- How ---

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def _stamped(
        self, name: str, who: str | None, properties: dict[str, Any], before: timedelta, skew: int = 0
    ) -> Message:
        """Ids in order; no two moments are the same, so that claims have one order."""
        self.told += 1
        moment = self.now - before + skew * MINUTE + timedelta(microseconds=self.told)
        return {
            "event": name,
            "uuid": f"e{self.told:06}",
            "distinct_id": who,
            "timestamp": moment.isoformat(),
            "properties": properties,
        }

    def _message(self, data: st.DataObject, before: timedelta, skew: int) -> Message:
        name = data.draw(st.sampled_from(NAMES))
        properties: dict[str, Any] = {}
        if (country := data.draw(countries)) is not None:
            properties["country"] = country
        if name.startswith("order_"):
            properties["amount"] = data.draw(cents) / 100
            if data.draw(st.integers(0, 5)) == 5:
                properties["currency"] = "USD"  # which has no rate here
        if data.draw(st.integers(0, 9)) == 9:
            properties["$internal"] = True
        return self._stamped(name, data.draw(st.one_of(people, st.none())), properties, before, skew)

    def _deliver(self, batch: list[tuple[int, Message]], role: str, skew: int, *, is_new: bool = True) -> None:
        now = self._tick()
        sent_at = now + skew * MINUTE if skew else None
        expected = [self.references[tenant].receive(message, now, sent_at) for tenant, message in batch]
        entries = [self.products[tenant].normalised(message, now, sent_at) for tenant, message in batch]
        assert write(entries, role, now) == expected, [content(message) for _, message in batch]
        if is_new:
            self.sent.extend(batch)

    def _mergeable(self, tenant: int) -> list[str]:
        reference = self.references[tenant]
        return sorted(reference.seen - reference.erased)

    def _undoable(self, tenant: int) -> list[Any]:
        reference = self.references[tenant]
        return sorted(
            claim for claim in set(reference.claims) - reference.undone if not reference.erased & {claim[0], claim[1]}
        )

    def _ask(
        self, tenant: int, metric: str, start: datetime, end: datetime, grain: str, *, internal: bool = False
    ) -> None:
        reference, product = self.references[tenant], self.products[tenant]
        product.refresh(self._tick())
        total, points, _, executor = product.values(metric, start, end, grain, self.now, internal=internal)
        ask: Callable[..., Any] = lambda a, b: value_of(reference, metric, a, b, self.now, internal=internal)  # noqa: E731
        assert points == [(a, ask(a, b)) for a, b in reference.slots(start, end, grain)], metric
        assert (total, executor) == (ask(start, end), "rollup"), metric

    def _check_ledger(self, tenant: int) -> None:
        reference, found = self.references[tenant], self.products[tenant].ledger()
        assert +found == +reference.ledger
        sums: dict[datetime, int] = {}
        for (hour, _), n in found.items():
            sums[hour] = sums.get(hour, 0) + n
        assert sums == dict(reference.received)
        assert self.products[tenant].dropped_without_reason() == 0
