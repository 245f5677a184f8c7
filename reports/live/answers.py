"""What a feed asks of `kpis`: the values of metrics over one question, unless nothing can have changed. Blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from rest_framework.exceptions import ValidationError

from analytics.contracts import TenantInfo
from analytics.periods import Period
from analytics.registry import UnknownName
from analytics.selectors import statement_limit
from analytics.tenancy import tenant_context
from kpis.base import Metric
from kpis.catalogue import Catalogue
from kpis.compare import standing_of
from kpis.contracts import Series, plain
from kpis.daily_visitors import marked
from kpis.parameters import COMPARE, CUT, NARROW, RANGE, Ask, ask_of
from kpis.series import NoCalendar, QuestionError, metrics_series
from kpis.versions import answer_tag
from reports.live.protocol import Complaint

REALTIME: Final = "realtime"
REALTIME_SPAN: Final = timedelta(minutes=30)
ANSWER_SECONDS: Final = 5
NOTHING: Final = msgspec.json.encode(
    {"value": None, "change": None, "status": "unknown", "is_complete": False}
).decode()
KNOWN: Final = (*RANGE, "days", *NARROW, *COMPARE)


@dataclass(frozen=True, slots=True)
class Question:
    """Which values: `text` is a query string of the API in a canonical order, or REALTIME."""

    text: str

    @property
    def is_realtime(self) -> bool:
        return self.text == REALTIME

    @classmethod
    def of(cls, range_: str, query: str | Mapping[str, str]) -> Question:
        """As a client writes it; what cuts into points is left out, because a tile has one number. Raises Complaint."""
        try:
            # A question mark at the front is what `location.search` has.
            pairs = parse_qsl(query.lstrip("?"), max_num_fields=50) if isinstance(query, str) else list(query.items())
        except ValueError:
            raise Complaint("invalid_question", "The query has too many parameters.") from None
        wanted = {name: value for name, value in pairs if value and name not in CUT}
        if range_ == REALTIME:
            if wanted:
                raise Complaint("invalid_question", "The range `realtime` takes no query.")
            return cls(REALTIME)
        if range_:
            if wanted.keys() & {"period", "from", "to", "days"}:
                raise Complaint("invalid_question", "Give either `range`, or a range in `query`.")
            wanted["period"] = range_
        elif not wanted.keys() & {"period", "from", "to", "days"}:
            wanted["period"] = "today"
        return cls(urlencode(sorted(wanted.items())))

    def ask(self, tenant: TenantInfo, now: datetime) -> Ask:
        """The question at this moment. Raises Complaint."""
        parameters = {} if self.is_realtime else dict(parse_qsl(self.text))
        try:
            ask = ask_of(parameters, tenant, now, known=KNOWN, default_grain="total", default_compare="previous")
        except ValidationError as error:
            raise Complaint("invalid_question", _first_sentence(error.detail)) from None
        return replace(ask, period=Period(now - REALTIME_SPAN, now)) if self.is_realtime else ask


@dataclass(frozen=True, slots=True)
class Answer:
    """Values as JSON by metric. `tag` is the data version that they are at least as new as."""

    tag: str
    as_of: datetime
    data_through: datetime | None
    origin: str
    values: Mapping[str, str]


def check(*, tenant: TenantInfo, question: Question, metrics: Sequence[str], now: datetime) -> dict[str, str]:
    """Why metrics cannot be watched, by name, in words that offer the nearest. Raises Complaint for the question."""
    question.ask(tenant, now)
    with tenant_context(tenant.id):
        catalogue = Catalogue(tenant.id)
        return {name: reason for name in metrics if (reason := _unknown(catalogue, name))}


def answer_read(
    *, tenant: TenantInfo, question: Question, metrics: Sequence[str], known_tag: str, now: datetime
) -> Answer | None:
    """The values now, or None when their data version is still `known_tag`.

    Of one transaction, and the version is read first: what is committed in between is found by the next reading.
    """
    ask = question.ask(tenant, now)
    with tenant_context(tenant.id):
        statement_limit(ANSWER_SECONDS)
        catalogue = Catalogue(tenant.id)
        known = [name for name in metrics if not _unknown(catalogue, name)]
        tag = _tag(tenant, question, known, ask)
        if tag == known_tag:
            return None
        found = _series(tenant, known, ask)
        values = {series.metric: _written(series, catalogue[series.metric]) for series in found}
    return Answer(
        tag=tag,
        as_of=now,
        data_through=found[0].data_through if found else None,
        origin=found[0].executor if found else "",
        values={name: values.get(name, NOTHING) for name in metrics},
    )


def _unknown(catalogue: Catalogue, name: str) -> str:
    try:
        catalogue[name]
    except UnknownName as error:
        text = str(error)
        return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith("?") else ".")
    return ""


def _tag(tenant: TenantInfo, question: Question, metrics: Sequence[str], ask: Ask) -> str:
    """The version that the API answers If-None-Match by. The last half hour moves with the clock, so it has none."""
    if question.is_realtime:
        return f"{ask.now.timestamp()}"
    text = f"{question.text}&{ask.period.start.isoformat()}&{ask.period.end.isoformat()}"
    return answer_tag(tenant_id=tenant.id, metrics=metrics, question=text, end=ask.period.end, now=ask.now)


def _series(tenant: TenantInfo, metrics: Sequence[str], ask: Ask) -> list[Series]:
    """Of one reading; when the question does not suit a metric, of one each, and that one has no value."""
    if not metrics:
        return []
    try:
        return metrics_series(tenant_id=tenant.id, metrics=metrics, **ask.arguments())
    except NoCalendar:
        return []
    except QuestionError:
        if len(metrics) == 1:
            return []
        return [series for name in metrics for series in _series(tenant, [name], ask)]


def _written(series: Series, metric: Metric) -> str:
    shown = plain(series)
    comparison = shown["comparison"]
    value: dict[str, Any] = {
        "value": shown["total"],
        "change": comparison["change"] if comparison else None,
        "status": standing_of(series, metric),
        "is_complete": series.is_complete,
        "is_partial": series.is_partial,
        **marked(series.daily_visitors),
        "unit": shown["unit"],
        "currency": shown["currency"],
    }
    return msgspec.json.encode(value).decode()


def _first_sentence(detail: Any) -> str:
    """The text of the first complaint of a validation error, whatever its shape."""
    while isinstance(detail, Mapping | list | tuple) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, Mapping) else detail[0]
    return str(detail)
