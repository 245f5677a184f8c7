"""`/explore/funnel/`: the editor of a funnel and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.filters import calendar_of
from kpis.funnels.question import MAX_STEPS
from reports.dashboard.doors import tenant_of, tenant_page
from reports.explore import parts
from reports.explore.asking import address, asked_of
from reports.explore.frame import Sample, known_of, page_of, sent_of
from reports.explore.funnel_shown import funnel_shown
from reports.explore.parts import Known, Pick, Range, Reader, Test

TITLE: Final = "Funnel"
INTRO: Final = "How many people pass a series of steps, where they stop, and how long it takes them."
ORDERS: Final = (
    ("ordered", "In this order, other events between"),
    ("strict", "In this order, nothing between"),
    ("any", "In any order"),
)
ENTRIES: Final = (
    ("best", "The attempt that gets furthest"),
    ("first", "The first attempt"),
    ("every", "Every attempt, one after the other"),
)
SPANS: Final = (("", "In any number of visits"), ("1", "All in one visit"))
CURVES: Final = (("", "Show them"), ("0", "Leave them out"))
MOMENTS: Final = (("first", "first step"), ("last", "last step reached"))
INCLUDABLE: Final = (("bots", "Bots"), ("internal", "Internal users"))
SHOP: Final = ("page_view", "product_viewed", "cart_updated", "checkout_started", "order_completed")
SAMPLES: Final = (
    ("From visit to order", SHOP),
    ("From sign-up to first order", ("signed_up", "order_completed")),
    ("From basket to order", ("cart_updated", "checkout_started", "order_completed")),
    ("Identity check", ("verification_started", "verification_completed")),
    ("From sign-up to first creation", ("signed_up", "content_created")),
)


@dataclass(frozen=True, slots=True)
class StepFields:
    """One step as fields."""

    pick: Pick
    number: int
    label: str = ""
    is_optional: bool = False
    within: str = ""


@dataclass(frozen=True, slots=True)
class ExclusionFields:
    """What drops people between two steps; `after` and `before` count from 1 as people do, '' is the last step."""

    pick: Pick
    after: str = "1"
    before: str = ""


@dataclass(frozen=True, slots=True)
class FunnelFields:
    """The whole form."""

    steps: tuple[StepFields, ...]
    exclusions: tuple[ExclusionFields, ...]
    range: Range
    window: str
    order: str
    entry: str
    session: str
    group: str
    hold: str
    by: str
    at: str
    limit: str
    curve: str
    tests: tuple[Test, ...]
    include: tuple[str, ...]
    orders: tuple[tuple[str, str], ...] = ORDERS
    entries: tuple[tuple[str, str], ...] = ENTRIES
    spans: tuple[tuple[str, str], ...] = SPANS
    curves: tuple[tuple[str, str], ...] = CURVES
    moments: tuple[tuple[str, str], ...] = MOMENTS
    includable: tuple[tuple[str, str], ...] = INCLUDABLE

    @property
    def blank(self) -> StepFields:
        """What the script makes a further step of."""
        return StepFields(Pick("__key__"), 0)

    @property
    def shown_exclusions(self) -> tuple[ExclusionFields, ...]:
        """With an empty one at the end."""
        return (*self.exclusions, ExclusionFields(Pick(f"x{len(self.exclusions)}")))

    @property
    def has_rules(self) -> bool:
        """Whether anything of the last part says more than the default."""
        said = (self.order, self.entry, self.session, self.group, self.hold, self.at, self.limit, self.curve)
        return (*said, self.include) != ("ordered", "best", "", "", "", "first", "10", "", ())


@require_GET
@tenant_page()
def funnel(request: HttpRequest) -> HttpResponse:
    """The page. A form that was sent becomes the address of its question."""
    if "do" in request.GET:
        return _sent(request)
    known = known_of(tenant_of(request), timezone.now())
    asked = asked_of(request, default_of(known))
    return page_of(
        request,
        "funnel",
        asked,
        title=TITLE,
        intro=INTRO,
        template="reports/explore/funnel.html",
        fields=fields_of(asked.wanted),
        known=known,
        view=lambda answer, q: funnel_shown(answer, q, calendar_of(tenant_of(request))),
        samples=samples_of(known, request.path),
    )


def _sent(request: HttpRequest) -> HttpResponse:
    reader, do = Reader(request.GET), request.GET["do"]
    keys = changed(reader.data.getlist("step")[: MAX_STEPS + 1], do)
    wanted = read(reader, keys, keeps_empty=do != "show")
    return redirect(address(request.path, wanted, draft="" if do == "show" else "1"))


def changed(keys: list[str], do: str) -> list[str]:
    """The steps after a button was pressed: add, remove:key, up:key, down:key. For browsers without script."""
    action, _, key = do.partition(":")
    if action == "add":
        return [*keys, "new"]
    if key not in keys:
        return keys
    place = keys.index(key)
    if action == "remove":
        return keys[:place] + keys[place + 1 :]
    other = place + {"up": -1, "down": 1}.get(action, 0)
    if 0 <= other < len(keys):
        keys[place], keys[other] = keys[other], keys[place]
    return keys


def read(reader: Reader, keys: list[str], *, keeps_empty: bool = False) -> dict[str, Any]:
    """The form as the API's JSON. Steps without an event are left out, unless somebody is still at it."""
    steps = [_step(reader, key) for key in keys]
    exclusions = [_exclusion(reader, key) for key in reader.data.getlist("exclusion")[: parts.MOST_FIELDS]]
    at = reader.text("at", "first")
    return parts.without_nothing(
        {
            "steps": steps if keeps_empty else [step for step in steps if step["events"]],
            **reader.range(),
            "window": reader.text("window"),
            "order": _unless(reader.text("order"), "ordered"),
            "entry": _unless(reader.text("entry"), "best"),
            "exclusions": [one for one in exclusions if one["events"]],
            "session": True if reader.text("session") else None,
            "group": reader.text("group"),
            "hold": reader.text("hold"),
            "filters": reader.tests(),
            "include": reader.texts("include"),
            "by": reader.text("by"),
            "at": _unless(int(at) if at.isdigit() and len(at) < 4 else at, "first"),
            "limit": _unless(reader.number("limit"), 10),
            "curve": False if reader.text("curve") == "0" else None,
        }
    ) | ({"steps": []} if not any(step["events"] for step in steps) and not keeps_empty else {})


def _step(reader: Reader, key: str) -> dict[str, Any]:
    found = reader.pick(key)
    if label := reader.text(f"{key}.label"):
        found["label"] = label
    if reader.text(f"{key}.optional"):
        found["optional"] = True
    if within := reader.text(f"{key}.within"):
        found["within"] = within
    return found


def _exclusion(reader: Reader, key: str) -> dict[str, Any]:
    found: dict[str, Any] = reader.pick(key)
    after, before = reader.number(f"{key}.after"), reader.number(f"{key}.before")
    found["after"] = after - 1 if isinstance(after, int) else after or 0
    if before is not None:
        found["before"] = before - 1 if isinstance(before, int) else before
    return found


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value


def fields_of(wanted: Mapping[str, Any]) -> FunnelFields:
    """The question as fields, however odd it is."""
    steps = wanted.get("steps")
    rows = [row for row in steps if isinstance(row, Mapping)][: MAX_STEPS + 1] if isinstance(steps, list) else []
    rows = [*rows, *({},) * (2 - len(rows))]
    exclusions = wanted.get("exclusions")
    outs = [row for row in exclusions if isinstance(row, Mapping)][:20] if isinstance(exclusions, list) else []
    text = parts.text_of
    return FunnelFields(
        steps=tuple(_step_fields(place, row) for place, row in enumerate(rows)),
        exclusions=tuple(_exclusion_fields(place, row) for place, row in enumerate(outs)),
        range=parts.range_of(wanted),
        window=text(wanted, "window", "7d"),
        order=text(wanted, "order", "ordered"),
        entry=text(wanted, "entry", "best"),
        session="1" if wanted.get("session") else "",
        group=text(wanted, "group"),
        hold=text(wanted, "hold"),
        by=text(wanted, "by"),
        at=text(wanted, "at", "first"),
        limit=text(wanted, "limit", "10"),
        curve="0" if wanted.get("curve") is False else "",
        tests=parts.tests_of(wanted.get("filters")),
        include=tuple(parts.texts_of(wanted.get("include"))),
    )


def _step_fields(place: int, row: Mapping[str, Any]) -> StepFields:
    return StepFields(
        parts.pick_of(f"s{place}", row),
        place + 1,
        parts.text_of(row, "label"),
        bool(row.get("optional")),
        parts.text_of(row, "within"),
    )


def _exclusion_fields(place: int, row: Mapping[str, Any]) -> ExclusionFields:
    after, before = row.get("after"), row.get("before")
    return ExclusionFields(
        parts.pick_of(f"x{place}", row),
        str(after + 1) if isinstance(after, int) else "1",
        str(before + 1) if isinstance(before, int) else "",
    )


def default_of(known: Known) -> dict[str, Any] | None:
    """A funnel of what the tenant sends; None when that gives no two steps."""
    names = next((found for _, wanted in SAMPLES if len(found := sent_of(known, *wanted)) > 1), None)
    return {"steps": [{"events": [name]} for name in names], "window": "7d"} if names else None


def samples_of(known: Known, path: str) -> tuple[Sample, ...]:
    """Funnels that make sense of the tenant's own events."""
    found = [(label, sent_of(known, *names), len(names)) for label, names in SAMPLES]
    return tuple(
        Sample(label, address(path, {"steps": [{"events": [name]} for name in names], "window": "7d"}))
        for label, names, most in found
        if len(names) == most or len(names) > 2
    )
