"""`/explore/costs/`: what marketing cost, as CSV; every line gets its verdict before anything is stored."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, Max, Min, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.capture.limits import Unfit
from analytics.contracts import TenantInfo
from kpis.explore.channels import MAX_COSTS, Cost, cost_remove, costs_import, costs_read
from kpis.explore.models import MarketingCost
from kpis.series.question import QuestionError
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.shown import minor_shown
from reports.explore.frame import head_of
from reports.exports.tables import downloads

TITLE: Final = "Marketing costs"
INTRO: Final = (
    "What each channel or campaign cost by day. With it, attribution tells the cost of a customer and the return."
)
ONE: Final = ("day", "channel", "campaign", "amount", "currency")
MOST_CHANNELS: Final = 200
MAX_BYTES: Final = 2_000_000
PAGE: Final = 100
SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line and what is to be said of it; `message` is empty for a good one."""

    number: int
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """The whole file. `costs` are the good lines."""

    verdicts: tuple[Verdict, ...]
    costs: tuple[Cost, ...]
    problem: str = ""

    @property
    def bad(self) -> int:
        return sum(bool(verdict.message) for verdict in self.verdicts)

    @property
    def shown(self) -> tuple[Verdict, ...]:
        """Bad lines first, so that none is missed."""
        return tuple(sorted(self.verdicts, key=lambda verdict: (not verdict.message, verdict.number)))[:SHOWN]


@tenant_page()
def costs(request: HttpRequest) -> HttpResponse:
    """The list; a post checks a file line by line, a confirmed one stores its good lines."""
    tenant, may_edit = tenant_of(request), Scope.KPIS_WRITE in scopes_of(request)
    text, check = "", None
    if request.method == "POST" and may_edit and request.POST.get("remove"):
        return _removed(request)
    if request.method == "POST" and may_edit:
        text, problem = _text(request)
        check = Check((), (), problem) if problem else checked(text, tenant.base_currency)
        is_one = request.POST.get("do") == "one" and not check.bad
        if (is_one or request.POST.get("confirm")) and check.costs:
            try:
                done = costs_import(tenant=tenant, costs=check.costs, now=timezone.now())
            except (QuestionError, Unfit) as error:
                check = Check(check.verdicts, (), f"{str(error).capitalize()}.")
            else:
                waiting = f" {done.without_rate:,} wait for an exchange rate." if done.without_rate else ""
                messages.success(request, f"Stored: {done.stored:,}.{waiting}")
                return redirect("dashboard:explore-costs")
    rows = MarketingCost.objects.filter(tenant_id=tenant.id).order_by("-day", "channel", "campaign", "pk")
    channel = request.GET.get("channel", "")[:400].replace("\x00", "")
    rows = rows.filter(channel=channel) if channel else rows
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "head": head_of(tenant, TITLE, INTRO),
        "page": page,
        "rows": [(row, minor_shown(row.amount, row.currency)) for row in page],
        "text": text,
        "check": check,
        "may_edit": may_edit,
        "currency": tenant.base_currency,
        "totals": _totals(tenant),
        "channel": channel,
        "one": {name: request.POST.get(name, "")[:400] for name in ONE} if check and check.bad else {},
        "today": timezone.localdate().isoformat(),
        "actions": downloads("costs", "/api/v1/explore/costs/"),
    }
    is_bad = check is not None and (bool(check.problem) or not check.costs)
    return render(request, "reports/explore/costs.html", context, status=400 if is_bad else 200)


def _removed(request: HttpRequest) -> HttpResponse:
    text = request.POST["remove"]
    is_there = text.isascii() and text.isdigit() and len(text) < 18
    if is_there and cost_remove(tenant_id=tenant_of(request).id, cost_id=int(text)):
        messages.success(request, "Removed. Numbers that stood on it are computed without it.")
    else:
        messages.warning(request, "That cost is not there any more.")
    return redirect("dashboard:explore-costs")


@dataclass(frozen=True, slots=True)
class Total:
    """What a channel cost in all. `waiting`: costs that have no worth in the base currency yet."""

    channel: str
    amount: str
    first: date
    last: date
    count: int
    waiting: int


def _totals(tenant: TenantInfo) -> list[Total]:
    """The largest first."""
    rows = MarketingCost.objects.filter(tenant_id=tenant.id).values("channel")
    found = rows.annotate(
        total=Sum("amount_base"), first=Min("day"), last=Max("day"), count=Count("pk"),
        waiting=Count("pk", filter=Q(amount_base=None)),
    ).order_by(F("total").desc(nulls_last=True), "channel")[:MOST_CHANNELS]  # fmt: skip
    return [
        Total(row["channel"], minor_shown(row["total"] or 0, tenant.base_currency), row["first"], row["last"],
              row["count"], row["waiting"])
        for row in found
    ]  # fmt: skip


def _text(request: HttpRequest) -> tuple[str, str]:
    """What was typed, pasted or uploaded, and what is wrong with it as a whole."""
    if request.POST.get("do") == "one":
        typed = [request.POST.get(name, "").strip() for name in ONE]
        return _csv([ONE, typed]), ""
    upload: Any = request.FILES.get("file")
    if upload is None:
        text = request.POST.get("csv", "")
        return (text, "") if text.strip() else ("", "Paste the lines of a CSV, or choose a file.")
    if upload.size > MAX_BYTES:
        return "", f"The file is larger than {MAX_BYTES // 1_000_000} MB: split it."
    try:
        return upload.read().decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return "", "The file is not UTF-8: save it as such."


def checked(text: str, base_currency: str) -> Check:
    """Every line on its own, so that one that is wrong does not hide the others."""
    if "\x00" in text or len(text) > MAX_BYTES:
        return Check((), (), "This is no CSV of at most 2 MB.")
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff").strip("\r\n"))))
    except csv.Error as error:
        return Check((), (), f"This is no CSV: {error}.")
    head = rows[:1]
    if len(rows) > MAX_COSTS + 1:
        return Check((), (), f"At most {MAX_COSTS:,} lines at once: split the file.")
    try:
        list(costs_read(_csv(head), base_currency))
    except QuestionError as error:
        return Check((), (), f"{str(error)[:1].upper()}{str(error)[1:]}.")
    verdicts, good = [], []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        message = ""
        try:
            good += list(costs_read(_csv([*head, row]), base_currency))
        except QuestionError as error:
            message = str(error).replace("line 2 is", "This is")
        verdicts.append(Verdict(number, ", ".join(row)[:200], message))
    problem = "" if verdicts else "There are no lines below the names of the columns."
    return Check(tuple(verdicts), tuple(good), problem)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
