"""`/explore/attribution/`: what each channel brought, under several models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.filters import calendar_of
from kpis.attribution.question import DIMENSIONS, MODELS
from reports.dashboard.doors import tenant_of, tenant_page
from reports.explore import parts
from reports.explore.asking import address, asked_of
from reports.explore.attribution_shown import MODEL_NAMES, attribution_shown
from reports.explore.frame import known_of, page_of
from reports.explore.parts import Pick, Range, Reader, Test

TITLE: Final = "Attribution"
INTRO: Final = "Which channels sales came from. Models share one sale among the touches before it; look at several."
TOUCHES: Final = (("session", "The beginning of each visit"), ("hit", "Every touch that says where it came from"))
REFUNDS: Final = (("on_their_day", "On the day they were given back"), ("restated", "Off the sale that they belong to"))
SHOWN: Final = (("revenue", "Revenue"), ("conversions", "Conversions"), ("new_customers", "New customers"))
INCLUDABLE: Final = (("bots", "Bots"), ("internal", "Internal users"))
USUAL: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay")


@dataclass(frozen=True, slots=True)
class AttributionFields:
    """The whole form. `shown` and `against` say how the answer is looked at; they are not part of the question."""

    models: tuple[str, ...]
    by: str
    lookback: str
    half_life: str
    touch: str
    refunds: str
    conversion: Pick
    touches: Pick
    range: Range
    tests: tuple[Test, ...]
    include: tuple[str, ...]
    shown: str
    against: str
    all_models: tuple[tuple[str, str], ...] = tuple((name, MODEL_NAMES[name]) for name in MODELS)
    dimensions: tuple[str, ...] = DIMENSIONS
    touch_kinds: tuple[tuple[str, str], ...] = TOUCHES
    refund_kinds: tuple[tuple[str, str], ...] = REFUNDS
    columns: tuple[tuple[str, str], ...] = SHOWN
    includable: tuple[tuple[str, str], ...] = INCLUDABLE

    @property
    def has_more(self) -> bool:
        """Whether anything of the last part says more than the default."""
        said = (self.half_life, self.touch, self.refunds, self.conversion.events, self.touches.events, self.tests)
        return said != ("7d", "session", "on_their_day", (), (), ()) or bool(self.include)


@require_GET
@tenant_page()
def attribution(request: HttpRequest) -> HttpResponse:
    """The page. A form that was sent becomes the address of its question."""
    if "do" in request.GET:
        reader = Reader(request.GET)
        looks = {name: reader.text(name)[:40] for name in ("shown", "against")}
        looks["shown"] = "" if looks["shown"] == "revenue" else looks["shown"]
        return redirect(address(request.path, read(reader), **looks))
    asked = asked_of(request, {"models": list(USUAL), "lookback": "30d"})
    column = request.GET.get("shown", "revenue")
    column = column if column in dict(SHOWN) else "revenue"
    against = request.GET.get("against", "")
    return page_of(
        request,
        "attribution",
        asked,
        title=TITLE,
        intro=INTRO,
        template="reports/explore/attribution.html",
        fields=fields_of(asked.wanted, column, against),
        known=known_of(tenant_of(request), timezone.now()),
        view=lambda answer, q: attribution_shown(answer, column, against, calendar_of(tenant_of(request)), q),
        model_names=MODEL_NAMES,
    )


def read(reader: Reader) -> dict[str, Any]:
    """The form as the API's JSON; what is as it would be anyway is left out."""
    conversion, touches = reader.pick("sale"), reader.pick("touch")
    return parts.without_nothing(
        {
            **reader.range(),
            "models": reader.texts("model"),
            "by": _unless(reader.text("by"), "channel"),
            "lookback": reader.text("lookback"),
            "half_life": _unless(reader.text("half_life"), "7d"),
            "touch": _unless(reader.text("touch"), "session"),
            "refunds": _unless(reader.text("refunds"), "on_their_day"),
            "conversion": conversion if conversion["events"] else None,
            "touches": touches if touches["events"] else None,
            "filters": reader.tests(),
            "include": reader.texts("include"),
        }
    )


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def fields_of(wanted: Mapping[str, Any], shown: str, against: str) -> AttributionFields:
    """The question as fields, however odd it is."""
    text = parts.text_of
    return AttributionFields(
        models=tuple(parts.texts_of(wanted.get("models"))) or MODELS,
        by=text(wanted, "by", "channel"),
        lookback=text(wanted, "lookback", "30d"),
        half_life=text(wanted, "half_life", "7d"),
        touch=text(wanted, "touch", "session"),
        refunds=text(wanted, "refunds", "on_their_day"),
        conversion=parts.pick_of("sale", wanted.get("conversion")),
        touches=parts.pick_of("touch", wanted.get("touches")),
        range=parts.range_of(wanted),
        tests=parts.tests_of(wanted.get("filters")),
        include=tuple(parts.texts_of(wanted.get("include"))),
        shown=shown,
        against=against,
    )
