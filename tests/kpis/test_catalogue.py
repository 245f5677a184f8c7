"""The catalogue as a whole: every metric is told in full, its page is not stale, checks name what is broken."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command

from kpis import formula
from kpis.base import Formula, Kind, Measure, Metric, Unit, measures, metrics
from kpis.metrics.safety import SCORE
from kpis.needs import measures_in, parts_of
from kpis.page import PAGE, catalogue_page
from kpis.taxonomy import GROUPS, STANDARD_EVENTS, STANDARD_NAMES

OURS = [metric for metric in metrics if metric.owner != "tests"]
AREAS = {
    "revenue", "mrr", "orders", "users", "sessions", "streams", "gifts", "topups", "memberships", "creators", "safety",
    "gaming", "conversion", "retention", "features", "automation", "posts", "creation", "purchases", "verification",
    "payments", "otp", "hosts", "webhooks", "system", "generation", "data_points", "marketing", "commerce", "directory",
    "trading",
}  # fmt: skip


@pytest.mark.parametrize("metric", OURS, ids=lambda metric: metric.id)
def test_a_metric_is_told_in_full(metric: Metric) -> None:
    assert metric.name
    assert metric.help.endswith(".")
    assert metric.in_words
    assert metric.example
    assert metric.owner
    assert metric.unit in Unit


def test_every_area_has_metrics() -> None:
    assert {metric.family for metric in OURS} >= AREAS
    assert {metric.id for metric in OURS if metric.kind is Kind.KR} == {
        "creation.growth", "purchases.success_ratio", "verification.completion",
    }  # fmt: skip
    assert {metric.id for metric in OURS if metric.kind is Kind.KRI} >= {
        "payments.failure_rate", "otp.failure_rate", "hosts.cancellation_rate", "users.churn_risk_share",
    }  # fmt: skip


def test_every_indicator_of_risk_has_limits_and_they_are_in_order() -> None:
    for metric in OURS:
        warning, critical = metric.thresholds.warning, metric.thresholds.critical
        if metric.kind is Kind.KRI:
            assert warning is not None, metric.id
        if warning is not None and critical is not None:
            assert warning < critical if metric.better == "down" else warning > critical, metric.id


def test_every_measure_serves_a_metric_or_the_answers_themselves() -> None:
    every = {metric.id: metric for metric in metrics}
    used = frozenset().union(*(measures_in(metric, every) for metric in OURS))
    ours = {measure.id for measure in measures if not measure.id.startswith("tests.")}
    assert ours - used == {"money.unconverted"}


def test_the_page_of_the_catalogue_is_up_to_date() -> None:
    assert PAGE.read_text() == catalogue_page()
    call_command("catalogue", check=True)


def test_every_standard_event_is_counted_by_some_measure() -> None:
    counted = {name for measure in measures for name in measure.events or ()}
    only_told = {
        "item_returned", "stock_adjusted", "ledger_adjusted", "logged_in", "appeal_rejected", "listing_created",
        "verification_started", "trade_opened",
    }  # fmt: skip
    assert {name for name in STANDARD_EVENTS if name not in counted} <= only_told


def test_a_name_means_one_thing() -> None:
    names = [name for group in GROUPS.values() for event in group for name in (event.name, *event.aliases)]
    assert sorted(names) == sorted(set(names)) == sorted(STANDARD_NAMES)


def test_the_weights_of_the_safety_score_make_a_hundred() -> None:
    assert SCORE.flags_at_most + SCORE.bans_at_most + SCORE.unhandled + SCORE.wrong == 100
    score = metrics["safety.score"]
    assert score.definition_version == SCORE.version
    assert SCORE.in_words in score.help


@pytest.mark.parametrize(
    ("flags", "bans", "handled", "granted", "expected"),
    [
        ("10", "1", "0.8", None, "87"),  # 100 - 5 - 4 - 4
        ("0", "0", "1", None, "100"),
        ("1000", "1000", "0", "1", "0"),  # the most of everything
        ("40", "2", "0.5", "0.5", "57"),  # 100 - 20 - 8 - 10 - 5
        ("80", "7.5", "1", "0", "30"),  # 100 - 40 - 30
    ],
)
def test_the_safety_score_by_hand(flags: str, bans: str, handled: str, granted: str | None, expected: str) -> None:
    form = metrics["safety.score"].form
    assert isinstance(form, Formula)
    values = {
        "safety.flagged_per_thousand": Decimal(flags),
        "safety.banned_per_thousand": Decimal(bans),
        "safety.handled_share": Decimal(handled),
        "safety.appeals_granted_share": None if granted is None else Decimal(granted),
    }
    assert set(parts_of(metrics["safety.score"])) == set(values)
    assert formula.evaluate(formula.parse(form.text), values) == Decimal(expected)


def test_a_slip_in_a_column_offers_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean `country`"):
        Measure(id="a.b", aggregate="count", dimensions=("contry",))
