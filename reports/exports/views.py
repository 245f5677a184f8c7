"""The numbers of a card as a file: by the API, and by the menu of a card (same question, same answer)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from analytics import filters
from analytics.selectors import statement_limit
from kpis import parameters
from kpis.catalogue import Catalogue
from kpis.contracts import Series
from kpis.parameters import Ask
from kpis.series import metric_series
from kpis.views.base import ANSWER_SECONDS, MetricView
from kpis.views.schema import COMPARE, CUT, NARROW, RANGE
from reports.dashboard.question import DEFAULT_COMPARE, grain_for
from reports.exports.formats import FORMATS, answer
from reports.exports.sheet import series_sheet


class FormatIsAQuestion(DefaultContentNegotiation):
    """`?format=` is a parameter of ours here; errors are JSON whatever was asked for."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type


class ExportView(MetricView):
    """A metric's points as a file."""

    known: ClassVar = (*parameters.EVERYTHING, "format")
    content_negotiation_class = FormatIsAQuestion

    @extend_schema(
        parameters=[
            OpenApiParameter("format", enum=list(FORMATS), description="csv when left out."),
            *RANGE,
            *CUT,
            *NARROW,
            *COMPARE,
        ],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, FORMATS["xlsx"].media_type): OpenApiTypes.BINARY,
            (200, FORMATS["json"].media_type): OpenApiTypes.OBJECT,
        },
        operation_id="kpis_export",
    )
    def get(self, request: Request, metric: str, kind: str = "") -> HttpResponseBase:
        """The points that `series/` shows, one to a row. XLSX ends with the definition, the zone and the range."""
        name = kind or filters.choice_parameter(request.query_params, "format", list(FORMATS), default="csv")
        ask = self.ask(request)
        statement_limit(ANSWER_SECONDS)
        with parameters.refusals(in_path=True):
            series = metric_series(tenant_id=self.tenant.id, metric=metric, **ask.arguments())
        sheet = series_sheet(series, Catalogue(self.tenant.id)[metric])
        return answer(sheet, FORMATS[name], _filename(series))


class CardExportView(ExportView):
    """A card's file: compared and cut as the page shows it when its address says nothing else."""

    default_compare: ClassVar = DEFAULT_COMPARE
    schema = None  # a page's address, not the API's

    def ask(self, request: Request, **defaults: str) -> Ask:
        ask = super().ask(request, **defaults)
        return ask if request.query_params.get("granularity") else replace(ask, grain=grain_for(ask.period))


def _filename(series: Series) -> str:
    return f"{series.metric}_{series.start:%Y%m%d}-{series.end:%Y%m%d}{f'_by_{_word(series.by)}' if series.by else ''}"


def _word(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)[:40]
