"""`/explore/channels/`: the ordered rules that make channels of touches, with a preview over the touches of 30 days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.lake.errors import LakeError
from kpis.attribution.channels import ChannelRule, Touchpoint, channel_of
from kpis.attribution.question import PAGES
from kpis.explore.channels import MAX_RULES, PARTS, has_own_rules, rules_of, rules_replace
from kpis.explore.grammar import Asking
from kpis.explore.kinds import Opening, opener
from kpis.explore.names import with_own_names
from kpis.explore.picks import column_of, people_only
from kpis.mapping import names_live
from kpis.series.question import QuestionError
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.explore.frame import count, head_of, share

TITLE: Final = "Channel rules"
INTRO: Final = "Rules are tried from the top; the first whose four parts fit a touch names its channel."
DAYS: Final = 30
MOST_KINDS: Final = 2000
PREVIEW_SECONDS: Final = 5.0
SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Matched:
    """What a channel would get of the touches of the last days."""

    channel: str
    touches: str
    share: str
    is_paid: bool
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A combination of parts and how often it came."""

    touch: Touchpoint
    times: int


@tenant_page()
def channels(request: HttpRequest) -> HttpResponse:
    """The rules; a post changes the draft, previews it, or saves it."""
    tenant, may_edit = tenant_of(request), Scope.KPIS_WRITE in scopes_of(request)
    rules, problem = list(rules_of(tenant_id=tenant.id)), ""
    if request.method == "POST" and may_edit:
        do = request.POST.get("do", "preview")
        rules = changed(rules_sent(request.POST), do)
        if do in ("save", "reset"):
            problem = _saved(request, rules if do == "save" else [])
            if not problem:
                return redirect("dashboard:explore-channels")
    preview, away = _preview(Asking(tenant, timezone.now()), [rule for rule in rules if rule.channel])
    context = {
        "head": head_of(tenant, TITLE, INTRO),
        "rules": rules,
        "rows": [*rules, ChannelRule("")] if may_edit else rules,
        "is_own": has_own_rules(tenant_id=tenant.id),
        "is_draft": request.method == "POST",
        "preview": preview,
        "days": DAYS,
        "away": away,
        "problem": problem,
        "may_edit": may_edit,
    }
    return render(request, "reports/explore/channels.html", context, status=400 if problem else 200)


def _saved(request: HttpRequest, rules: Sequence[ChannelRule]) -> str:
    """What is wrong with them, or ''."""
    kept = [rule for rule in rules if rule.channel]
    if any(len(rule.channel) > 60 for rule in kept):
        return "A channel has a name of at most 60 characters."
    if any(len(getattr(rule, part)) > 1000 or "\x00" in getattr(rule, part) for rule in kept for part in PARTS):
        return "Patterns have at most 1,000 characters and no control characters."
    try:
        rules_replace(tenant_id=tenant_of(request).id, rules=[asdict(rule) for rule in kept])
    except QuestionError as error:
        return f"{str(error).capitalize()}."
    messages.success(
        request,
        "Saved. Answers of attribution use these rules from now on." if kept else "The built-in rules are back.",
    )
    return ""


def rules_sent(form: Any) -> list[ChannelRule]:
    """The rows of the form, in their order; a row without a channel and patterns is none."""
    columns = {part: form.getlist(part)[: MAX_RULES + 1] for part in PARTS}
    paid = form.getlist("is_paid")
    rows = zip(*columns.values(), strict=False)
    found = [
        ChannelRule(**dict(zip(PARTS, (text.strip() for text in row), strict=True)), is_paid=_at(paid, place) == "1")
        for place, row in enumerate(rows)
    ]
    return [rule for rule in found if any(getattr(rule, part) for part in PARTS)]


def _at(values: Sequence[str], place: int) -> str:
    return values[place] if place < len(values) else ""


def changed(rules: list[ChannelRule], do: str) -> list[ChannelRule]:
    """After a button: up:3, down:3, remove:3. For browsers without script."""
    action, _, text = do.partition(":")
    place = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else -1
    if not 0 <= place < len(rules):
        return rules
    if action == "remove":
        return rules[:place] + rules[place + 1 :]
    other = place + {"up": -1, "down": 1}.get(action, 0)
    if 0 <= other < len(rules):
        rules[place], rules[other] = rules[other], rules[place]
    return rules


def _preview(asking: Asking, rules: Sequence[ChannelRule]) -> tuple[tuple[Matched, ...], str]:
    try:
        return tuple(matched(_seen(asking), rules)), ""
    except LakeError as error:
        return (), str(error) or "The store of events cannot be read just now."


def _seen(asking: Asking) -> list[Seen]:
    """The combinations of parts of the last days, the most frequent first."""
    pages = with_own_names(PAGES, names_live(tenant_id=asking.tenant.id)).all_names
    wanted = Opening(
        start=asking.now - timedelta(days=DAYS),
        end=asking.now,
        columns=("name", "person_id", "channel", "campaign", "is_bot", "is_internal"),
        properties=("utm_medium", "$referring_domain"),
        names=pages,
    )
    with opener(asking, timeout=PREVIEW_SECONDS)(wanted) as source:
        table = people_only(source.events)
        table = table.filter(table.name.isin(pages))
        parts = {
            "source": table.channel,
            "medium": column_of(source, table, "properties.utm_medium"),
            "campaign": table.campaign,
            "referrer": column_of(source, table, "properties.$referring_domain"),
        }
        table = table.select(**{name: column.fill_null("") for name, column in parts.items()})
        counted = table.group_by(list(parts)).agg(times=table.count())
        found = source.run(counted.order_by(counted.times.desc()).limit(MOST_KINDS)).to_pylist()
    return [Seen(Touchpoint(*(row[name] for name in parts)), row["times"]) for row in found]


def matched(seen: Iterable[Seen], rules: Sequence[ChannelRule]) -> Iterable[Matched]:
    """By channel, the most frequent first, with what it is made of."""
    times: dict[str, int] = {}
    paid: dict[str, bool] = {}
    examples: dict[str, list[str]] = {}
    for each in seen:
        channel, is_paid = channel_of(each.touch, rules)
        times[channel] = times.get(channel, 0) + each.times
        paid[channel] = paid.get(channel, False) or is_paid
        said = examples.setdefault(channel, [])
        if len(said) < SAMPLES:
            said.append(_said(each.touch))
    whole = sum(times.values())
    for channel in sorted(times, key=lambda name: (-times[name], name)):
        yield Matched(
            channel, count(times[channel]), share(times[channel] / whole), paid[channel], tuple(examples[channel])
        )


def _said(touch: Touchpoint) -> str:
    parts = {name: getattr(touch, name) for name in ("source", "medium", "campaign", "referrer")}
    return ", ".join(f"{name} {value[:60]}" for name, value in parts.items() if value) or "nothing known"
