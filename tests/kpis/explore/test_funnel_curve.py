"""The conversion curve against published numbers, by hand, and against what young cohorts would have become."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from analytics.periods import to_micros
from kpis.explore.intervals import Interval
from kpis.explore.picks import EventPick
from kpis.funnels import Funnel, FunnelAnswer, Step, funnel_read
from kpis.funnels.attempts import NEVER, Attempts
from kpis.funnels.curve import MOST_POINTS, band, curve_of, kaplan_meier
from kpis.funnels.times import TimeBin
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_the_estimate_is_the_published_one() -> None:
    """Remission under 6-mercaptopurine (Freireich et al., Blood 21, 1963; the table of every textbook of survival, with
    the band on the scale of log(−log S))."""
    found = kaplan_meier(
        np.array([6, 6, 6, 7, 10, 13, 16, 22, 23]), np.array([6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
    )
    assert found.moments.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert [round(share, 4) for share in found.survival] == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    errors = found.survival * np.sqrt(found.greenwood)
    assert [round(error, 4) for error in errors] == [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    bands = [band(float(s), float(g)) for s, g in zip(found.survival, found.greenwood, strict=True)]
    assert [(round(1 - b.high, 4), round(1 - b.low, 4)) for b in bands if b] == [
        (0.6197, 0.9516), (0.5631, 0.9228), (0.5032, 0.8894), (0.4316, 0.8491), (0.3675, 0.8049), (0.2678, 0.7468),
        (0.1881, 0.6801),
    ]  # fmt: skip


def event(person: int, name: str, after: timedelta) -> dict[str, Any]:
    return {"name": name, "person_id": person, "ts": START + after}


def asked(rows: list[dict[str, Any]], through: datetime, **more: Any) -> FunnelAnswer:
    base: dict[str, Any] = {
        "steps": (Step(EventPick(("view",))), Step(EventPick(("buy",)))),
        "start": START,
        "end": START + 7 * DAY,
        "window": 4 * DAY,
        "curve": True,
    }
    return funnel_read(lake_store(rows, data_through=through), Funnel(**{**base, **more}), timezone="UTC", now=through)


# Five enter. 1 buys after a day, 2 after two. 3 has been watched for all of the four days and did not. 4 entered one
# and a half days before the end of what is known, 5 half a day before it.
STORY = [
    event(1, "view", 0 * DAY), event(1, "buy", 1 * DAY),
    event(2, "view", 0 * DAY), event(2, "buy", 2 * DAY),
    event(3, "view", 0 * DAY),
    event(4, "view", 5 * DAY),
    event(5, "view", 6 * DAY),
]  # fmt: skip
THROUGH = START + 6 * DAY + 12 * HOUR


def test_those_who_still_have_time_count_for_as_long_as_they_were_watched() -> None:
    """After a day: four at risk (all but 5), one buys: 1/4. After two: two at risk (2, 3), one buys: 3/4 · 1/2 stay."""
    curve = asked(STORY, THROUGH).curve
    assert curve is not None
    assert [(p.seconds, p.share, p.at_risk, p.converted) for p in curve.points] == [
        (86_400, 0.25, 4, 1), (172_800, 0.625, 2, 2),
    ]  # fmt: skip
    assert (curve.entered, curve.censored, curve.until_seconds, curve.share) == (5, 2, 4 * 86_400, 0.625)
    # Greenwood: 1/(4·3) + 1/(2·1) = 7/12; log(−log 0.375) ± 1.96 · √(7/12) / |log 0.375|.
    assert curve.interval is not None
    assert (round(curve.interval.low, 4), round(curve.interval.high, 4)) == (0.1920, 0.9890)


def test_the_reading_says_what_the_bars_cannot() -> None:
    answer = asked(STORY, THROUGH)
    assert "2 of them (40.0 %" in answer.reading
    assert (
        "Counting each only for as long as it has been watched, 62.5 % convert within 4 days, 95 % interval 19.2 to"
        " 98.9 %." in answer.reading
    )


def test_the_curve_comes_when_it_is_asked_for() -> None:
    answer = asked(STORY, THROUGH, curve=False)
    assert (answer.curve, answer.times) == (None, ())


def test_times_are_bars_that_people_have_words_for() -> None:
    assert asked(STORY, THROUGH).times == (
        TimeBin(86_400, 2 * 86_400, 1, 0.5),
        TimeBin(2 * 86_400, 3 * 86_400, 1, 0.5),
    )
    quick = [event(1, "view", 0 * DAY), event(1, "buy", timedelta(seconds=90)), event(2, "view", 0 * DAY),
             event(2, "buy", 3 * HOUR)]  # fmt: skip
    assert [(bar.low, bar.high, bar.n) for bar in asked(quick, THROUGH).times] == [
        (60, 300, 1), (300, 900, 0), (900, 1800, 0), (1800, 3600, 0), (3600, 10_800, 0), (10_800, 21_600, 1),
    ]  # fmt: skip


def test_nobody_everybody_and_the_excluded() -> None:
    assert asked([], THROUGH).curve is None
    alone = asked([event(1, "view", 0 * DAY), event(1, "buy", DAY)], THROUGH).curve
    assert alone is not None
    assert (alone.share, alone.interval, alone.censored) == (1.0, None, 0)
    still = asked([event(1, "view", 6 * DAY)], THROUGH).curve
    assert still is not None
    assert (still.points, still.share, still.censored, still.until_seconds) == ((), 0.0, 1, 43_200)


def attempts_of(took: Any, entered: Any, through: int) -> Attempts:
    """People who enter at a moment and would convert after a time; what lies after `through` is not known yet."""
    done = np.where(entered + took < through, entered + took, NEVER)
    people = np.arange(len(took))
    deadline = entered + 7 * 86_400_000_000
    return Attempts(people, (entered, done), deadline, deadline, np.zeros(len(took), dtype=bool))


@pytest.mark.parametrize("seed", range(3))
def test_a_young_cohort_is_not_biased(seed: int) -> None:
    """20,000 people of whom 30 % convert, after an exponential time of mean 2 days; all entered within the last week,
    so that they still have time. The bars say far too little; the curve tells what comes of them."""
    dice = np.random.default_rng(seed)
    count, day = 20_000, 86_400_000_000
    through = to_micros(START + 7 * DAY)
    entered = to_micros(START) + (dice.random(count) * 7 * day).astype(np.int64)
    took = np.where(dice.random(count) < 0.3, dice.exponential(2 * day, count), 1000 * day).astype(np.int64)
    funnel = Funnel(
        steps=(Step(EventPick(("view",))), Step(EventPick(("buy",)))), start=START, end=START + 7 * DAY, window=7 * DAY
    )
    attempts = attempts_of(took, entered, through)
    curve = curve_of(attempts, funnel, through)
    assert curve is not None
    truth = [0.3 * (1 - np.exp(-point.seconds / (2 * 86_400))) for point in curve.points]
    assert len(curve.points) == MOST_POINTS
    near = [(p.share, t) for p, t in zip(curve.points, truth, strict=True) if p.seconds < 6.5 * 86_400]
    assert max(abs(share - expected) for share, expected in near) < 0.015
    assert np.mean(attempts.at[1] >= 0) < 0.225  # against 0.29 within the week


def test_the_band_holds_the_truth_95_times_of_100() -> None:
    """400 small samples, looked at after three days: the shares of bands that hold 0.3 · (1 − exp(−1.5))."""
    dice = np.random.default_rng(9)
    day, truth, held = 86_400_000_000, 0.3 * (1 - np.exp(-1.5)), 0
    for _ in range(400):
        watched = (dice.random(200) * 7 * day).astype(np.int64)
        took = np.where(dice.random(200) < 0.3, dice.exponential(2 * day, 200), 1000 * day).astype(np.int64)
        done = took < watched
        found = kaplan_meier(took[done], np.sort(watched[~done]))
        at = int(np.searchsorted(found.moments, 3 * day, side="right")) - 1
        interval = band(float(found.survival[at]), float(found.greenwood[at]))
        held += interval is not None and interval.low <= truth <= interval.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_drawn_curve_is_exact_where_it_is_told() -> None:
    """Of more moments than are drawn, each point is the estimate at its moment."""
    dice = random.Random(4)
    day = 86_400_000_000
    took = np.array([dice.randrange(6 * day) for _ in range(500)] + [1000 * day] * 100)
    entered = np.array([to_micros(START) + dice.randrange(3 * day) for _ in took])
    through = to_micros(START + 5 * DAY)
    funnel = Funnel(
        steps=(Step(EventPick(("view",))), Step(EventPick(("buy",)))), start=START, end=START + 7 * DAY, window=7 * DAY
    )
    curve = curve_of(attempts_of(took, entered, through), funnel, through)
    assert curve is not None
    seen = [(min(t, through - e), e + t < through) for t, e in zip(took.tolist(), entered.tolist(), strict=True)]
    for point in curve.points:
        moment = round(point.seconds * 1_000_000)
        stay = 1.0
        for at in sorted({time for time, is_done in seen if is_done and time <= moment}):
            risk = sum(time >= at for time, _ in seen)
            stay *= 1 - sum(time == at and is_done for time, is_done in seen) / risk
        assert point.share == pytest.approx(1 - stay, abs=1e-12)
        assert point.at_risk == sum(time >= moment for time, _ in seen)
        assert point.converted == sum(is_done and time <= moment for time, is_done in seen)


def test_the_band_has_no_edge_where_nothing_is_known() -> None:
    assert band(1.0, 0.0) is None
    assert band(0.0, float("inf")) is None
    found = band(0.5, 0.02)
    assert isinstance(found, Interval)
    assert found.low < 0.5 < found.high
