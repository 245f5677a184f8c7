"""Payments: how many, how fast, how many fail and why, by whom and for what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.capture.money import exponents
from analytics.views.parameters import listed
from kpis import parameters, payers, selectors, serializers
from kpis.answers import lifetime
from kpis.contracts import Series, plain, side_by_side
from kpis.parameters import Ask
from kpis.series import metrics_series
from kpis.stamps import stamp_of, stamp_of_events
from kpis.views.base import MetricView
from kpis.views.schema import BY, COMPARE, DAYS, GRANULARITY, INCLUDE, LIMIT, RANGE

STATUSES = ("created", "verifying", "verified", "pending", "settled", "failed", "expired", "refunded")
COUNTS = {status: f"payments.{status}" for status in STATUSES}
SUMMARY = {
    "volume": "payments.volume",
    "average_value": "payments.average_value",
    "success_rate": "payments.success_rate",
    "unique_payers": "payments.unique_payers",
}
SUCCESS = {"success_rate": "payments.success_rate", "settled": "payments.settled", "finished": "payments.finished"}
FAILURES = {"failed": "payments.failed", "failure_rate": "payments.failure_rate"}
LATENCY = {name: f"payments.latency_{name}" for name in ("mean", "median", "p95", "p99")}
METHODS = {"settled": "payments.settled", "volume": "payments.volume", "success_rate": "payments.success_rate"}
NARROW = tuple(listed(name, f"Payments of these only, by `{name}`.") for name in ("country", "method", "platform"))
PARAMETERS = [*RANGE, DAYS, LIMIT, *NARROW, *COMPARE, INCLUDE]
RANKING = [*RANGE, DAYS, LIMIT]


class PaymentsView(MetricView):
    """Common to all: the range in `days`, filters by country, method and platform; answers are remembered.

    `metrics` are those whose numbers tell when an answer could have changed. Rankings and lists are of single events:
    every one of them is in the count of one of these, and who is whom in that of active people.
    """

    known: ClassVar[Sequence[str]] = parameters.PAYMENTS
    metrics: ClassVar[Sequence[str]] = ()

    def remembered(self, request: Request, ask: Ask, answer: Callable[[], dict[str, Any]]) -> Response:
        """The answer, as long as its metrics stay as they are."""
        names = list(self.metrics)
        return self.unless_same(request, names, ask.period.end, ask.now, answer, ttl=lifetime(ask, names))

    def several(self, ask: Ask, names: Mapping[str, str], **changes: Any) -> dict[str, Series]:
        """Series of metrics under the names that the answer gives them."""
        found = metrics_series(tenant_id=self.tenant.id, metrics=list(names.values()), **{**ask.arguments(), **changes})
        return dict(zip(names, found, strict=True))

    def over_time(self, ask: Ask, names: Mapping[str, str]) -> dict[str, Any]:
        """An answer of these series and nothing else."""
        found = self.several(ask, names)
        return {**self.panel(found.values()), **_shown(found)}

    def money(self, minor: int | None, currency: str | None = None) -> str | None:
        """Minor units as a decimal string."""
        code = currency or self.tenant.base_currency
        return None if minor is None else str(Decimal(minor).scaleb(-exponents().get(code, 2)))

    def panel(self, series: Collection[Series]) -> dict[str, Any]:
        """What an answer made of these series begins with."""
        return {**stamp_of(series), "currency": self.tenant.base_currency}

    def ranking(self, ask: Ask, rules: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Rows that were read from events by these rules."""
        stamp = stamp_of_events(tenant_id=self.tenant.id, ask=ask, rules=rules)
        return {**stamp, "currency": self.tenant.base_currency, "results": rows}


class SummaryView(PaymentsView):
    """Payments at a glance."""

    metrics: ClassVar = (*COUNTS.values(), *SUMMARY.values())

    @extend_schema(parameters=PARAMETERS, responses=serializers.PaymentsSerializer, operation_id="payments_summary")
    def get(self, request: Request) -> Response:
        """How many became what in the range, how many stand where now, and the latest."""
        ask = self.ask(request, default_grain="total")
        return self.remembered(request, ask, lambda: self._summary(ask))

    def _summary(self, ask: Ask) -> dict[str, Any]:
        found = self.several(ask, {**COUNTS, **SUMMARY})
        tenant_id, start, end = self.tenant.id, ask.period.start, ask.period.end
        latest = selectors.payments_latest(tenant_id=tenant_id, start=start, end=end, limit=ask.limit)
        return {
            **self.panel(found.values()),
            "statuses": {status: plain(found[status])["total"] for status in STATUSES},
            "now": selectors.payments_now(tenant_id=tenant_id, start=start, end=end),
            **{name: plain(found[name])["total"] for name in SUMMARY},
            "latest": [self._payment(payment) for payment in latest],
        }

    def _payment(self, payment: selectors.LatestPayment) -> dict[str, Any]:
        shown = asdict(payment)
        shown["id"], shown["at"] = str(payment.id), _instant(payment.at)
        shown["amount"] = self.money(payment.amount, payment.currency)
        shown["amount_base"] = self.money(payment.amount_base)
        return shown


class SuccessRateView(PaymentsView):
    """How many succeed."""

    known: ClassVar = (*parameters.PAYMENTS, "granularity", "by")
    metrics: ClassVar = tuple(SUCCESS.values())

    @extend_schema(
        parameters=[*PARAMETERS, GRANULARITY, BY],
        responses=serializers.SuccessSerializer,
        operation_id="payments_success_rate",
    )
    def get(self, request: Request) -> Response:
        """The share of finished payments that settled, over time."""
        ask = self.ask(request)
        return self.remembered(request, ask, lambda: self.over_time(ask, SUCCESS))


class FailuresView(PaymentsView):
    """How many fail, and why."""

    metrics: ClassVar = (*FAILURES.values(), *SUCCESS.values(), "payments.expired")

    @extend_schema(parameters=PARAMETERS, responses=serializers.FailuresSerializer, operation_id="payments_failures")
    def get(self, request: Request) -> Response:
        """Failures over time, by reason and by hour of the day, and how often people try again."""
        ask = self.ask(request)
        return self.remembered(request, ask, lambda: self._failures(ask))

    def _failures(self, ask: Ask) -> dict[str, Any]:
        tenant_id, start, end = self.tenant.id, ask.period.start, ask.period.end
        by_reason = self.several(ask, {"failed": "payments.failed"}, by="reason", grain="total")["failed"]
        hours = selectors.payments_by_hour(tenant_id=tenant_id, start=start, end=end, failed=True)
        retries = selectors.payments_retries(tenant_id=tenant_id, start=start, end=end)
        over_time = self.several(ask, FAILURES)
        return {
            **self.panel([*over_time.values(), by_reason]),
            **_shown(over_time),
            "reasons": [{"reason": part["key"], "failed": part["total"]} for part in plain(by_reason)["series"]],
            "hours": [{"hour": hour, "failed": count} for hour, count in hours.items()],
            "retries": [asdict(row) for row in retries],
        }


class LatencyView(PaymentsView):
    """How long settlement takes."""

    known: ClassVar = (*parameters.PAYMENTS, "granularity", "by")
    metrics: ClassVar = tuple(LATENCY.values())

    @extend_schema(
        parameters=[*PARAMETERS, GRANULARITY, BY],
        responses=serializers.LatencySerializer,
        operation_id="payments_latency",
    )
    def get(self, request: Request) -> Response:
        """Milliseconds from creation to settlement: mean, median, 95th and 99th percentile, over time."""
        ask = self.ask(request)
        return self.remembered(request, ask, lambda: self.over_time(ask, LATENCY))


class MethodsView(PaymentsView):
    """What people pay with."""

    metrics: ClassVar = tuple(METHODS.values())

    @extend_schema(parameters=PARAMETERS, responses=serializers.MethodsSerializer, operation_id="payments_methods")
    def get(self, request: Request) -> Response:
        """Each payment method with its settled payments, their volume and its success rate."""
        ask = self.ask(request, default_grain="total")

        def answer() -> dict[str, Any]:
            found = self.several(ask, METHODS, by="method")
            return {**self.panel(found.values()), "results": _by_method(found)}

        return self.remembered(request, ask, answer)


class TopResourcesView(PaymentsView):
    """What people pay for."""

    known: ClassVar = (*parameters.RANGE, "days", "limit")
    metrics: ClassVar = ("events.count", "revenue.gross")

    @extend_schema(parameters=RANKING, responses=serializers.ResourcesSerializer, operation_id="payments_top_resources")
    def get(self, request: Request) -> Response:
        """What sold for most, with how often it was opened."""
        ask = self.ask(request)
        return self.remembered(request, ask, lambda: self.ranking(ask, payers.RESOURCES, self._resources(ask)))

    def _resources(self, ask: Ask) -> list[dict[str, Any]]:
        start, end = ask.period.start, ask.period.end
        found = payers.resources_top(tenant_id=self.tenant.id, start=start, end=end, limit=ask.limit)
        return [{**asdict(row), "revenue": self.money(row.revenue)} for row in found]


class CustomersView(PaymentsView):
    """Who pays."""

    known: ClassVar = (*parameters.RANGE, "days", "limit")
    metrics: ClassVar = ("payments.settled", "payments.volume", "payments.unique_payers", "users.active")

    @extend_schema(parameters=RANKING, responses=serializers.PayersSerializer, operation_id="payments_customers")
    def get(self, request: Request) -> Response:
        """The people with the highest volume of settled payments, by the number of their person."""
        ask = self.ask(request)
        return self.remembered(request, ask, lambda: self.ranking(ask, payers.CUSTOMERS, self._customers(ask)))

    def _customers(self, ask: Ask) -> list[dict[str, Any]]:
        start, end = ask.period.start, ask.period.end
        found = payers.customers_top(tenant_id=self.tenant.id, start=start, end=end, limit=ask.limit)
        return [self._customer(row) for row in found]

    def _customer(self, row: payers.Customer) -> dict[str, Any]:
        times = {"first_at": _instant(row.first_at), "last_at": _instant(row.last_at)}
        return {**asdict(row), **times, "volume": self.money(row.volume)}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(found: Mapping[str, Series]) -> dict[str, Any]:
    return {name: plain(series) for name, series in found.items()}


def _by_method(found: Mapping[str, Series]) -> list[dict[str, Any]]:
    return side_by_side({name: plain(series)["series"] for name, series in found.items()}, "method")
