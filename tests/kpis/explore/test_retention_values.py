"""Retention by value: against the definition read person by person, and its parts always add up to the whole."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from analytics.identity import identity_merge
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.periods import Calendar
from kpis.explore.values import largest
from kpis.retention_clock import ClockAnswer, ClockRetention, clock_people, clock_retention_read
from kpis.rollup.refresh import refresh_tenant
from kpis.series.question import QuestionError
from tests.api import Caller, caller, problem
from tests.kpis.explore.test_api_explore import DAY, HOUR, MONDAY, NOW, told
from tests.kpis.story import PEOPLE
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
UTC_CLOCK = Calendar("UTC")
COUNTRIES = ("FR", "DE", "NP", "SE", "US", None, "__other__", "")
Event = dict[str, Any]
Table = list[tuple[int, list[int | None], list[int | None]]]
"""Of each cohort its size, who came by period, and what they spent; None where it is not over for all."""


def happened(seed: int, people: int, events: int) -> list[Event]:
    """At full hours of six weeks, so that many events of one person fall on one microsecond."""
    dice = random.Random(seed)
    return [
        {
            "name": dice.choice(("order_completed", "page_view")),
            "person_id": dice.randrange(1, people + 1),
            "ts": START + timedelta(hours=6 * dice.randrange(-4 * 7, 4 * 7 * 6)),
            "country": dice.choices(COUNTRIES, (9, 7, 5, 3, 2, 6, 1, 1))[0],
            "amount_base": dice.choice((None, 100, 2500)),
        }
        for _ in range(events)
    ]


# --- The definition ---------------------------------------------------------------------------------------------------


def by_definition(rows: list[Event], question: ClockRetention, through: datetime, known: set[int]) -> dict[Any, Table]:
    """Person by person and event by event; by value before the largest are chosen."""
    unit = timedelta(days={"day": 1, "week": 7}[question.unit])
    size: dict[Any, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    came: dict[Any, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    spent: dict[Any, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    last = START + (2 * question.periods - 1) * unit
    for person in sorted({row["person_id"] for row in rows}):
        events = sorted((row for row in rows if row["person_id"] == person), key=lambda row: row["ts"])  # stable
        entries: dict[int, Event] = {}
        for event in events:
            cohort = (event["ts"] - START) // unit
            if 0 <= cohort < question.periods:
                entries.setdefault(cohort, event)
        if question.cohort != "recurring":
            entries = dict(sorted(entries.items())[:1])
        if question.cohort == "first_ever" and person in known:
            entries = {}
        for cohort, entry in entries.items():
            value = entry["country"]
            size[value][cohort] += 1
            for period in range(question.periods):
                begin = (
                    START + (cohort + period) * unit if question.clock == "calendar" else entry["ts"] + period * unit
                )
                end = begin + unit
                if question.mode == "on_or_after":
                    end = max(end, last)
                again = [event for event in events if begin <= event["ts"] < end]
                came[value][cohort, period] += bool(again)
                spent[value][cohort, period] += sum(event["amount_base"] or 0 for event in again)

    def is_over(cohort: int, period: int) -> bool:
        ends = cohort + period + (1 if question.clock == "calendar" else 2)
        return START + ends * unit <= through

    def column(found: dict[tuple[int, int], int], cohort: int) -> list[int | None]:
        periods = range(question.periods)
        return [found[cohort, period] if is_over(cohort, period) else None for period in periods]

    return {
        value: [
            (size[value][cohort], column(came[value], cohort), column(spent[value], cohort))
            for cohort in range(question.periods)
        ]
        for value in size
    }


def added(tables: list[Table]) -> Table:
    """Cell by cell."""

    def plus(columns: tuple[list[int | None], ...]) -> list[int | None]:
        return [None if None in cells else sum(cells) for cells in zip(*columns, strict=True)]

    return [
        (sum(row[0] for row in rows), plus(tuple(row[1] for row in rows)), plus(tuple(row[2] for row in rows)))
        for rows in zip(*tables, strict=True)
    ]


def expected(found: dict[Any, Table], limit: int) -> list[tuple[str, Table]]:
    """The largest values by people, then all others; null and the word for others have keys of their own."""
    named = {"__none__" if value is None else value: table for value, table in found.items()}
    rest = [named.pop("__other__")] if "__other__" in named else []
    ranked = sorted(named, key=lambda key: (-sum(row[0] for row in named[key]), key))
    rest += [named[key] for key in ranked[limit:]]
    return [*((key, named[key]) for key in ranked[:limit]), *([("__other__", added(rest))] if rest else [])]


def table_of(rows: Any) -> Table:
    return [(row.size, [cell.returned for cell in row.cells], [cell.revenue for cell in row.cells]) for row in rows]


# --- Against it -------------------------------------------------------------------------------------------------------


def asked(rows: list[Event], question: ClockRetention, through: datetime, known: set[int]) -> ClockAnswer:
    store = lake_store([row for row in rows if row["ts"] >= START], data_through=through)
    before = np.array(sorted(known), dtype=np.int64)
    return clock_retention_read(store, question, now=through, known_before=before)


@pytest.mark.parametrize("clock", ["calendar", "24h"])
@pytest.mark.parametrize("cohort", ["first_ever", "first_in_range", "recurring"])
@pytest.mark.parametrize("mode", ["on", "on_or_after"])
def test_every_value_is_what_the_definition_says_and_they_add_up(clock: Any, cohort: Any, mode: Any) -> None:
    for seed, unit, periods, limit, through in (
        (1, "week", 3, 3, START + 60 * DAY),
        (2, "day", 9, 10, START + 12 * DAY),
        (3, "week", 4, 1, START + 30 * DAY),
    ):
        rows = happened(seed, 60, 400)
        known = {row["person_id"] for row in rows if row["ts"] < START}
        chosen: dict[str, Any] = {"clock": clock, "cohort": cohort, "mode": mode, "unit": unit, "periods": periods}
        question = ClockRetention(start=START, calendar=UTC_CLOCK, revenue=True, by="country", limit=limit, **chosen)
        future = [row for row in rows if row["ts"] >= START]
        answer = asked(rows, question, through, known)
        wanted = expected(by_definition(future, question, through, known), limit)
        parts = [(part.key, table_of(part.rows)) for part in answer.breakdown]
        assert parts == wanted, (seed, chosen)
        assert added([table for _, table in parts]) == table_of(answer.rows)
        undivided = asked(rows, ClockRetention(start=START, calendar=UTC_CLOCK, revenue=True, **chosen), through, known)
        assert (undivided.breakdown, undivided.rows, undivided.means, undivided.mean_intervals) == (
            (), answer.rows, answer.means, answer.mean_intervals,
        )  # fmt: skip
        assert [part.size for part in answer.breakdown] == [sum(row[0] for row in table) for _, table in wanted]


def visit(person: int, after: timedelta, country: str | None) -> Event:
    return {"name": "page_view", "person_id": person, "ts": START + after, "country": country}


def test_the_value_is_that_of_the_way_in_whatever_one_comes_back_with() -> None:
    """1 came from France and comes back from Nepal; of her two first events the one received first counts. Two of three
    of France came back: Wilson's interval of that is 20.8 to 93.9 %."""
    rows = [
        visit(1, HOUR, "FR"), visit(1, HOUR, "NP"), visit(1, DAY, "NP"),
        visit(2, 2 * HOUR, "FR"), visit(2, DAY, None), visit(3, 3 * HOUR, "FR"),
        visit(4, HOUR, None), visit(4, DAY, "FR"),
    ]  # fmt: skip
    question = ClockRetention(start=START, calendar=UTC_CLOCK, clock="calendar", unit="day", periods=2, min_size=2,
                              cohort="first_in_range", by="country")  # fmt: skip
    answer = clock_retention_read(lake_store(rows), question, now=NOW)
    assert [(part.key, part.size, part.is_small, part.means) for part in answer.breakdown] == [
        ("FR", 3, False, (1.0, 2 / 3)), ("__none__", 1, True, (1.0, 1.0)),
    ]  # fmt: skip
    interval = answer.breakdown[0].mean_intervals[1]
    assert interval is not None
    assert (interval.low, interval.high) == (pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))
    assert [list(clock_people(lake_store(rows), question, cohort=0, period=1, key=key)) for key in (
        "FR", "__none__", "NP", "nowhere")] == [[1, 2], [4], [], []]  # fmt: skip


def test_people_of_all_others_are_those_of_no_value_shown() -> None:
    rows = [visit(person, HOUR, country) for person, country in enumerate(("FR", "FR", "DE", None, "SE"), start=1)]
    question = ClockRetention(start=START, calendar=UTC_CLOCK, unit="day", periods=1, cohort="first_in_range",
                              by="country", limit=1)  # fmt: skip
    store = lake_store(rows)
    assert [part.key for part in clock_retention_read(store, question, now=NOW).breakdown] == ["FR", "__other__"]
    assert list(clock_people(store, question, cohort=0, period=0, key="__other__")) == [3, 4, 5]
    assert list(clock_people(store, question, cohort=0, period=0, key="SE")) == [5], "a segment keeps its value"


def test_the_reading_names_the_values_that_enough_people_have() -> None:
    rows = [visit(person, HOUR, "FR" if person < 5 else "DE" if person < 9 else "SE") for person in range(1, 10)]
    rows += [visit(person, DAY, None) for person in (1, 2, 3, 5)]
    base: dict[str, Any] = {"start": START, "calendar": UTC_CLOCK, "clock": "calendar", "unit": "day", "periods": 2,
                            "cohort": "first_in_range", "min_size": 4}  # fmt: skip
    told = clock_retention_read(lake_store(rows), ClockRetention(**base, by="country"), now=NOW).reading
    assert " By country, FR came back most in day 1 (75.0 %), DE least (25.0 %)." in told
    nothing = ClockRetention(**base, by="properties.plaan")
    store = lake_store(rows, properties=["plaan"])
    assert "Nobody's first event had properties.plaan." in clock_retention_read(store, nothing, now=NOW).reading


def test_values_that_are_spelled_like_the_words_for_none_and_others_count_as_those() -> None:
    found = list(largest(np.array([-1, 0, 0, 1, 2, 2, 2]), ("__none__", "__other__", "a"), 5))
    assert [(key, codes.tolist()) for key, codes in found] == [("__none__", [-1, 0]), ("a", [2]), ("__other__", [1])]
    assert list(largest(np.array([], dtype=np.int64), (), 5)) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"by": "contry"}, "by"), ({"by": "properties."}, "by"), ({"by": "amount"}, "by"), ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"), ({"by": "country", "periods": 60, "limit": 20}, "limit"),
    ],
)  # fmt: skip
def test_what_gives_no_table_of_values_is_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(QuestionError) as refused:
        ClockRetention(start=START, calendar=UTC_CLOCK, **wrong)
    assert refused.value.field == field


# --- Over HTTP, over a real lake --------------------------------------------------------------------------------------


@pytest.fixture
def two(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> tuple[Caller, Caller]:
    """Both have Ann and the others, who do other things at each."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    for tenant, seed in ((acme, 5), (globex, 6)):
        dice = random.Random(seed)
        told(
            tenant,
            *[
                (dice.choice(list(PEOPLE)), "$pageview", dice.randrange(0, 9 * 24) * HOUR,
                 {"country": dice.choice(("FR", "DE", None)), "properties": {"a'b\"%s__x": dice.choice(("x", "y"))}})
                for _ in range(80)
            ],
        )  # fmt: skip
    return caller(acme), caller(globex)


ASKED: dict[str, Any] = {"from": "2026-03-02", "periods": 4, "unit": "day"}


def sizes(found: dict[str, Any]) -> list[tuple[int, list[int | None]]]:
    return [(row["size"], [cell["returned"] for cell in row["cells"]]) for row in found["rows"]]


def summed(parts: list[dict[str, Any]]) -> list[tuple[int, list[int | None]]]:
    tables: list[Table] = [[(size, came, []) for size, came in sizes(part)] for part in parts]
    return [(size, came) for size, came, _ in added(tables)]


@pytest.mark.django_db(transaction=True)
def test_values_from_the_lake_add_up_to_the_bitmaps_also_after_a_merge(
    two: tuple[Caller, Caller], acme: Tenant, globex: Tenant
) -> None:
    for _ in range(2):
        for api in two:
            for cohort in ("first_ever", "first_in_range", "recurring"):
                for mode in ("on", "on_or_after"):
                    question = {**ASKED, "cohort": cohort, "mode": mode}
                    whole = api.post("explore/retention/", question).json()
                    parts = api.post("explore/retention/", {**question, "by": "country"}).json()
                    assert (whole["executor"], whole["by"], whole["breakdown"]) == ("rollup", None, [])
                    assert (parts["executor"], parts["by"]) == ("duckdb+kernel", "country")
                    assert {part["key"] for part in parts["breakdown"]} <= {"FR", "DE", "__none__"}
                    assert len(parts["breakdown"]) > 1
                    assert summed(parts["breakdown"]) == sizes(parts) == sizes(whole), question
                    assert parts["means"] == pytest.approx(whole["means"])
                    assert parts["usage_interval"] == whole["usage_interval"]
        identity_merge(tenant_id=acme.pk, left=1, right=2, actor="olga", reason="same", now=NOW)
        refresh_tenant(acme.pk, now=NOW)
        lake_mark(tenant_id=acme.pk, start=MONDAY, end=NOW, reason="test", now=NOW)
        seal_tenant(acme.pk, now=NOW, workers=1)


@pytest.mark.django_db(transaction=True)
def test_each_value_has_the_shape_of_the_whole_and_leads_to_its_people(two: tuple[Caller, Caller]) -> None:
    api, neighbour = two
    question = {**ASKED, "cohort": "recurring", "clock": "24h", "revenue": True, "by": "country", "limit": 1}
    found = api.post("explore/retention/", question).json()
    first, other = found["breakdown"]
    assert other["key"] == "__other__"
    shared = {"rows", "means", "mean_intervals", "revenue_per_person"}
    assert set(first) == {"key", "size", "is_small", *shared}
    assert shared <= set(found)
    assert first["rows"][0].keys() == found["rows"][0].keys()
    assert first["rows"][0]["cells"][0].keys() == found["rows"][0]["cells"][0].keys()
    for part in (first, other):
        place = {"cohort": 0, "period": 1, "key": part["key"]}
        people = api.post("explore/people/", {"kind": "retention", "question": question, "place": place}).json()
        assert people["count"] == part["rows"][0]["cells"][1]["returned"]
    assert neighbour.post("explore/retention/", question).json()["breakdown"] != found["breakdown"]


@pytest.mark.django_db(transaction=True)
def test_bad_values_are_told_by_field_and_hostile_names_are_names(two: tuple[Caller, Caller]) -> None:
    api, _ = two

    def refused(**more: Any) -> tuple[str, str]:
        found = problem(api.post("explore/retention/", {**ASKED, **more}))
        assert found["status"] == 400
        return found["errors"][0]["field"], found["errors"][0]["detail"]

    field, told = refused(by="contry")
    assert (field, told.startswith("There is no dimension 'contry': use properties.<key> or one of ")) == ("by", True)
    assert "Did you mean country or " in told
    assert "Did you mean properties.subscription" in refused(by="subscription")[1]
    assert refused(by="properties.\x01")[0] == "by"
    assert refused(by=["country"])[0] == "by"
    assert refused(limit=101)[0] == refused(by="country", periods=60, limit=60)[0] == "limit"
    assert refused(by="country", breakdown="country")[0] == "breakdown"
    place = {"kind": "retention", "question": ASKED, "place": {"cohort": 0, "period": 0, "key": "FR"}}
    assert "value of the breakdown" in str(problem(api.post("explore/people/", place)))
    strange = api.post("explore/retention/", {**ASKED, "by": "properties.a'b\"%s__x"}).json()
    assert {part["key"] for part in strange["breakdown"]} == {"x", "y"}
    for name in ("properties.' OR 1=1 --", "properties.%", "properties.$.a[0]", 'properties."', "properties.\u202e"):
        empty = api.post("explore/retention/", {**ASKED, "by": name}).json()
        assert [part["key"] for part in empty["breakdown"]] == ["__none__"], name
        assert "Nobody's first event had properties." in empty["reading"]
