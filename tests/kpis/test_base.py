"""Declarations: what may be declared, what `manage.py check` says of the rest, and metrics that tenants make."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from analytics.models import Tenant
from analytics.registry import RegistryError, UnknownName
from analytics.tenancy import tenant_context
from kpis import base
from kpis.base import (
    Condition,
    Formula,
    Growth,
    Kept,
    Measure,
    Metric,
    Newcomers,
    PerMinute,
    Ratio,
    Recurring,
    Share,
    Trailing,
    Value,
    measures,
    metrics,
    register,
)
from kpis.catalogue import Catalogue, definition_version
from kpis.checks import metrics_check
from kpis.series import metric_series
from kpis.services import Definition, DefinitionError, metric_archive, metric_define
from kpis.taxonomy import STANDARD_EVENTS, named
from tests.kpis.story import Story

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


def metric(id: str, form: base.Form, **words: Any) -> Metric:
    return Metric(**{"id": id, "name": id, "help": "", "in_words": "", "form": form, **words})


@pytest.fixture
def declared() -> Iterator[list[str]]:
    """What a test registers is forgotten after it."""
    before = (dict(measures._items), dict(metrics._items))
    yield []
    measures._items, metrics._items = before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "gross", "aggregate": "count"}, "no id"),
        ({"id": "a.b", "aggregate": "total"}, "needs a field"),
        ({"id": "a.b", "aggregate": "count", "field": "value"}, "takes no field"),
        ({"id": "a.b", "aggregate": "total", "field": "shoe_size"}, "no column `shoe_size`"),
        ({"id": "a.b", "aggregate": "count", "where": (Condition("x y", "eq", 1),)}, "no column `x y`"),
        ({"id": "a.b", "aggregate": "count", "dimensions": ("value",)}, "no dimension"),
        ({"id": "a.b", "aggregate": "count", "source": "sessions", "events": frozenset({"x"})}, "no event names"),
        ({"id": "a.b", "aggregate": "total", "source": "sessions", "field": "amount"}, "sessions have no column"),
    ],
)
def test_a_measure_that_cannot_be_counted_is_refused_where_it_is_declared(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measure(**arguments)


def test_a_name_can_be_taken_only_once(declared: list[str]) -> None:
    with pytest.raises(RegistryError, match="already registered"):
        register(metric("revenue.gross", Value("revenue.gross")))


def test_the_built_in_declarations_pass_the_check() -> None:
    assert metrics_check() == []
    call_command("check", verbosity=0)


@pytest.mark.parametrize(
    ("form", "id", "message"),
    [
        (Value("no.measure"), "kpis.E001", "there is no measure no.measure"),
        (Share("users.active", "no.measure"), "kpis.E001", "there is no measure no.measure"),
        (Value("orders.count", "mean"), "kpis.E002", "no statistic 'mean' of measure orders.count"),
        (Value("payments.latency_spread"), "kpis.E002", "a quantile needs q"),
        (Newcomers("orders.count"), "kpis.E002", "no people to follow"),
        (Trailing("payments.latency_spread", 7), "kpis.E002", "trailing quantile"),
        (Formula("1 +"), "kpis.E003", "^ expected a number"),
        (Ratio("orders.count", "no.metric"), "kpis.E004", "made of no.metric"),
        (Formula("orders.count * no.metric"), "kpis.E004", "made of no.metric"),
        (Formula("bad.one + 1"), "kpis.E005", "bad.one → bad.one"),
        (Growth("no.metric"), "kpis.E004", "made of no.metric"),
        (PerMinute("bad.one"), "kpis.E005", "bad.one → bad.one"),
        (Kept("orders.count"), "kpis.E002", "no people to follow"),
        (Recurring("orders.count", "new"), "kpis.E002", "no prices to follow"),
        (Recurring("subscriptions.prices", "newer"), "kpis.E002", "no movement 'newer'"),
    ],
)
def test_a_broken_reference_fails_the_check(declared: list[str], form: base.Form, id: str, message: str) -> None:
    register(metric("bad.one", form))
    problems = metrics_check()
    assert [problem.id for problem in problems] == [id]
    assert message in problems[0].msg


def test_a_broken_reference_offers_the_nearest(declared: list[str]) -> None:
    register(metric("bad.one", Ratio("orders.cuont", "revenue.gross")), metric("bad.two", Value("users.activ")))
    one, two = metrics_check()
    assert (one.id, two.id) == ("kpis.E004", "kpis.E001")
    assert str(one.hint).startswith("Did you mean orders.count, ")
    assert "users.active" in str(two.hint)


def test_a_name_that_is_nearly_a_standard_event_is_doubted(declared: list[str]) -> None:
    register(Measure(id="bad.one", aggregate="count", events=frozenset({"order_complete", "Own Thing"})))
    (problem,) = metrics_check()
    assert (problem.id, problem.hint) == ("kpis.W001", "Did you mean order_completed?")
    assert "order_complete," in problem.msg


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean .*revenue\.gross"):
        metrics["revenue.gros"]


def test_every_metric_says_what_it_is() -> None:
    for item in metrics:
        assert item.help.endswith("."), item.id
        assert all((item.name, item.in_words, item.example, item.owner)), item.id


def test_aliases_are_counted_with_the_standard_name_and_belong_to_one_event() -> None:
    assert named("order_completed") == {"order_completed", "Order Completed"}
    names = [name for event in STANDARD_EVENTS.values() for name in (event.name, *event.aliases)]
    assert len(names) == len(set(names))


def test_the_version_of_a_definition_follows_what_it_is_made_of(declared: list[str]) -> None:
    catalogue = {item.id: item for item in metrics}
    before = definition_version(catalogue["revenue.net"], catalogue)
    assert before == definition_version(catalogue["revenue.net"], dict(catalogue))
    changed = catalogue | {"revenue.gross": metric("revenue.gross", Value("orders.gross"))}
    assert definition_version(changed["revenue.net"], changed) != before


# --- Metrics that tenants make ----------------------------------------------------------------------------------------


def define(tenant: Tenant, name: str, formula: str, **words: Any) -> None:
    definition = Definition(**{"metric": name, "name": name, "formula": formula, **words})
    metric_define(tenant_id=tenant.pk, definition=definition, now=NOW)


@pytest.mark.django_db
def test_a_tenant_makes_a_metric_of_its_own(acme: Tenant, globex: Tenant) -> None:
    """(20.00 + 10.00) × 0.4 = 12.00 of margin, 6.00 an order; the neighbour has no such metric."""
    for tenant in (acme, globex):
        story = Story(tenant)
        for amount in (2000, 1000):
            story.add("order_completed", NOW - timedelta(days=1), "ann", amount=amount)
        story.count(NOW)
    define(acme, "shop.margin", "revenue.net * 0.4", unit="money")
    define(acme, "shop.margin_per_order", "shop.margin / orders.count", unit="money")

    def total(tenant: Tenant, name: str) -> Decimal | None:
        start = NOW - timedelta(days=2)
        return metric_series(tenant_id=tenant.pk, metric=name, start=start, end=NOW, grain="total", now=NOW).total

    assert (total(acme, "shop.margin"), total(acme, "shop.margin_per_order")) == (12, 6)
    with pytest.raises(UnknownName):
        total(globex, "shop.margin")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("definition", "field", "message"),
    [
        ({"metric": "margin"}, "metric", "ids read `family.measure`"),
        ({"metric": "revenue.net"}, "metric", "comes with the product"),
        ({"name": " "}, "name", "needs a name"),
        ({"unit": "parsecs"}, "unit", "unit is one of"),
        ({"better": "sideways"}, "better", "better is one of"),
        ({"formula": "revenue.net *"}, "formula", r"\^ expected a number"),
        ({"formula": "revenue.net / orders.cuont"}, "formula", r"no metric orders\.cuont"),
        ({"formula": "shop.margin + 1"}, "formula", "cannot be made of itself"),
    ],
)
def test_a_definition_that_has_no_value_is_refused(
    acme: Tenant, definition: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(DefinitionError, match=message) as caught:
        metric_define(
            tenant_id=acme.pk,
            definition=Definition(**{"metric": "shop.margin", "name": "Margin", "formula": "revenue.net"} | definition),
            now=NOW,
        )
    assert caught.value.field == field


@pytest.mark.django_db
def test_a_circle_over_two_metrics_is_refused(acme: Tenant) -> None:
    define(acme, "shop.one", "orders.count + 1")
    define(acme, "shop.two", "shop.one + 1")
    with pytest.raises(DefinitionError, match=r"shop\.one → shop\.two → shop\.one"):
        define(acme, "shop.one", "shop.two + 1")


@pytest.mark.django_db
def test_a_metric_in_use_cannot_be_archived(acme: Tenant) -> None:
    define(acme, "shop.one", "orders.count + 1")
    define(acme, "shop.two", "shop.one + 1")
    with pytest.raises(DefinitionError, match=r"shop\.two is made of it"):
        metric_archive(tenant_id=acme.pk, metric="shop.one")
    metric_archive(tenant_id=acme.pk, metric="shop.two")
    metric_archive(tenant_id=acme.pk, metric="shop.one")


@pytest.mark.django_db
def test_the_version_rises_with_the_formula_only(acme: Tenant) -> None:
    define(acme, "shop.one", "orders.count + 1")
    define(acme, "shop.one", "orders.count + 1", help="one more than there are")
    define(acme, "shop.one", "orders.count + 2")
    with tenant_context(acme.pk):
        assert Catalogue(acme.pk)["shop.one"].definition_version == 2
