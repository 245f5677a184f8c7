"""Time, by hand-worked instants: odd zones, days of 23 and 25 hours, a date that never was."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.periods import Calendar, Granularity, Period, RangeError, from_micros, parse_range, period_between

PARIS, KATHMANDU, LORD_HOWE, APIA = (
    Calendar(zone) for zone in ("Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
)
NOW = datetime(2026, 11, 21, 9, 40, tzinfo=UTC)  # Saturday 10:40 in Paris


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(calendar: Calendar, day: date) -> list[datetime]:
    period = calendar.day(day)
    return calendar.starts(period, Granularity.HOUR)


def test_kathmandu_hours_start_at_a_quarter_past_and_fill_its_day() -> None:
    day = KATHMANDU.day(date(2026, 11, 21))
    assert (day.start, day.end) == (utc("2026-11-20 18:15"), utc("2026-11-21 18:15"))
    starts = hours(KATHMANDU, date(2026, 11, 21))
    assert (len(starts), starts[0], starts[1]) == (24, utc("2026-11-20 18:15"), utc("2026-11-20 19:15"))


def test_the_repeated_hour_of_autumn_is_two_buckets_and_the_day_has_25() -> None:
    # Paris sets its clocks back on 2026-10-25 at 03:00 (01:00 UTC): 02:00 comes twice, at 00:00 and 01:00 UTC.
    starts = hours(PARIS, date(2026, 10, 25))
    assert len(starts) == 25
    assert starts[2:4] == [utc("2026-10-25 00:00"), utc("2026-10-25 01:00")]
    assert PARIS.day(date(2026, 10, 25)).elapsed == timedelta(hours=25)


def test_the_day_of_spring_has_23_hours() -> None:
    starts = hours(PARIS, date(2026, 3, 29))
    assert (len(starts), starts[0], starts[-1]) == (23, utc("2026-03-28 23:00"), utc("2026-03-29 21:00"))


def test_lord_howe_moves_by_half_an_hour() -> None:
    # Back on 2026-04-05 at 02:00 (+11) to 01:30 (+10:30), which is 15:00 UTC of the 4th: a half hour, then full ones.
    starts = hours(LORD_HOWE, date(2026, 4, 5))
    assert starts[:4] == [
        utc("2026-04-04 13:00"),
        utc("2026-04-04 14:00"),
        utc("2026-04-04 15:00"),
        utc("2026-04-04 15:30"),
    ]
    assert (len(starts), LORD_HOWE.day(date(2026, 4, 5)).elapsed) == (25, timedelta(hours=24, minutes=30))
    # Forward on 2026-10-04 at 02:00 (+10:30) to 02:30 (+11), 15:30 UTC of the 3rd; 03:00 is 16:00 UTC.
    starts = hours(LORD_HOWE, date(2026, 10, 4))
    assert starts[:4] == [
        utc("2026-10-03 13:30"),
        utc("2026-10-03 14:30"),
        utc("2026-10-03 15:30"),
        utc("2026-10-03 16:00"),
    ]
    assert (len(starts), LORD_HOWE.day(date(2026, 10, 4)).elapsed) == (24, timedelta(hours=23, minutes=30))


def test_samoa_has_no_30_december_2011() -> None:
    jump = utc("2011-12-30 10:00")
    assert APIA.day(date(2011, 12, 29)) == Period(jump - timedelta(days=1), jump, Granularity.DAY)
    assert APIA.day(date(2011, 12, 30)).elapsed == timedelta(0)
    assert APIA.day_start(date(2011, 12, 31)) == jump
    days = APIA.starts(Period(utc("2011-12-28 10:00"), utc("2012-01-01 10:00")), Granularity.DAY)
    assert days == [utc("2011-12-28 10:00"), utc("2011-12-29 10:00"), jump, utc("2011-12-31 10:00")]
    assert APIA.ceil(utc("2011-12-30 09:59"), Granularity.DAY) == jump


def test_a_midnight_that_the_clock_jumps_over_starts_at_the_jump() -> None:
    # São Paulo went from 00:00 to 01:00 on 2018-11-04, at 03:00 UTC.
    sao_paulo = Calendar("America/Sao_Paulo")
    assert sao_paulo.day_start(date(2018, 11, 4)) == utc("2018-11-04 03:00")
    assert len(hours(sao_paulo, date(2018, 11, 4))) == 23


def test_a_midnight_that_comes_twice_starts_the_day_the_first_time() -> None:
    # Havana sets its clock back at 01:00 to 00:00 on 2026-11-01, at 05:00 UTC.
    havana = Calendar("America/Havana")
    assert havana.day_start(date(2026, 11, 1)) == utc("2026-11-01 04:00")
    assert havana.local_date(utc("2026-11-01 05:30")) == date(2026, 11, 1)


def test_weeks_start_on_the_tenants_day() -> None:
    sunday = Calendar("Europe/Paris", week_start=6)
    assert PARIS.floor(NOW, Granularity.WEEK) == utc("2026-11-15 23:00")
    assert sunday.floor(NOW, Granularity.WEEK) == utc("2026-11-14 23:00")


def test_the_last_seven_days_are_complete_local_days() -> None:
    assert parse_range("last_7d", PARIS, NOW) == Period(
        utc("2026-11-13 23:00"), utc("2026-11-20 23:00"), Granularity.DAY, 7
    )
    assert parse_range("rolling_7d", PARIS, NOW) == Period(NOW - timedelta(days=7), NOW)


def test_to_date_compares_equal_elapsed_time() -> None:
    today = parse_range("today", PARIS, NOW)
    assert PARIS.previous(today) == Period(
        utc("2026-11-19 23:00"), utc("2026-11-20 09:40"), Granularity.DAY, is_to_date=True
    )
    # 31 March against February: the whole of February, never more.
    march = parse_range("mtd", PARIS, utc("2026-03-31 12:00"))
    assert PARIS.previous(march).end == march.start


def test_previous_ranges_keep_their_shape() -> None:
    def previous(text: str) -> tuple[datetime, datetime]:
        period = PARIS.previous(parse_range(text, PARIS, NOW))
        return period.start, period.end

    assert previous("2026-03") == (utc("2026-01-31 23:00"), utc("2026-02-28 23:00"))
    assert previous("2026-10-25") == (utc("2026-10-23 22:00"), utc("2026-10-24 22:00"))
    assert previous("2026-11-01..2026-11-08") == (utc("2026-10-24 22:00"), utc("2026-10-31 23:00"))
    assert previous("last_24h") == (utc("2026-11-19 09:00"), utc("2026-11-20 09:00"))


def test_a_year_ago_is_the_same_dates() -> None:
    leap = parse_range("2024-02-29", PARIS, NOW)
    assert PARIS.year_ago(leap).start == utc("2023-02-27 23:00")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2025-12-31 23:00", "2026-12-31 23:00"),
        ("2026-Q4", "2026-09-30 22:00", "2026-12-31 23:00"),
        ("2026-11", "2026-10-31 23:00", "2026-11-30 23:00"),
        ("2026-W47", "2026-11-15 23:00", "2026-11-22 23:00"),
        ("yesterday", "2026-11-19 23:00", "2026-11-20 23:00"),
        ("last_month", "2026-09-30 22:00", "2026-10-31 23:00"),
        ("2026-11-01T10:00..2026-11-01T12:00+00:00", "2026-11-01 09:00", "2026-11-01 12:00"),
    ],
)
def test_ranges_read_as_written(text: str, start: str, end: str) -> None:
    period = parse_range(text, PARIS, NOW)
    assert (period.start, period.end) == (utc(start), utc(end))


@pytest.mark.parametrize(
    "text", ["", "last week", "last_0d", "2026-13", "2026-02-30", "2026-11-08..2026-11-01", "x..y"]
)
def test_a_range_that_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(RangeError, match=r"\w"):
        parse_range(text, PARIS, NOW)


def test_an_unknown_zone_and_a_backward_range_are_errors() -> None:
    with pytest.raises(RangeError, match="Europe/Paris or UTC"):
        Calendar("Mars/Olympus")
    with pytest.raises(RangeError, match="exclusive"):
        period_between("2026-11-08", "2026-11-08", PARIS)


ZONES = (
    "UTC",
    "Europe/Paris",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "America/Havana",
)


@given(zone=st.sampled_from(ZONES), second=st.integers(0, 2_000_000_000), unit=st.sampled_from(list(Granularity)))
def test_every_instant_lies_in_the_bucket_that_holds_it(zone: str, second: int, unit: Granularity) -> None:
    calendar, instant = Calendar(zone), from_micros(second * 1_000_000)
    start, end = calendar.floor(instant, unit), calendar.ceil(instant, unit)
    assert start <= instant < end
    assert calendar.floor(start, unit) == start
    assert calendar.floor(end, unit) == end
    assert calendar.starts(Period(start, end), unit) == [start]


@given(zone=st.sampled_from(ZONES), day=st.dates(date(1971, 1, 1), date(2035, 1, 1)))
def test_the_hours_of_a_day_tile_it(zone: str, day: date) -> None:
    calendar = Calendar(zone)
    period = calendar.day(day)
    edges = [from_micros(edge) for edge in calendar.edges(period.start, period.end, Granularity.HOUR)]
    if period.elapsed:
        assert (edges[0], edges[-1]) == (period.start, period.end)
        assert all(timedelta(0) < b - a <= timedelta(hours=1) for a, b in itertools.pairwise(edges))
        assert {calendar.local_date(edge) for edge in edges[:-1]} == {day}
