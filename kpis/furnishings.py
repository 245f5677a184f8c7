"""What a demo tenant has of metrics: costs of its campaigns, a margin, notes on its charts, goals, kept people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from analytics.demo.catalogue import ALWAYS, CAMPAIGNS, OUTAGE
from analytics.demo.furnishing import Furnishing, Room, furnishings
from analytics.demo.offices import RAID_DAY

AUTHOR: Final = "Demo"
MARGIN_SHARE: Final = 0.35
NOTES: Final = (
    (RAID_DAY, 20.5, 3.0, "incident", "Raid of fake accounts", "Two hundred accounts flagged at once.", ""),
    (OUTAGE.day, OUTAGE.start / 3600, (OUTAGE.end - OUTAGE.start) / 3600, "incident", "Card provider down",
     "Card payments failed from half past nine until a quarter past five; other methods worked.", ""),
    (44, 10.0, 0.0, "deploy", "New checkout", "One page instead of three.", "orders.count"),
    (76, 9.0, 0.0, "price", "Free delivery from 50 euros", "", "revenue.aov"),
)  # fmt: skip
"""Day, hour, hours, kind, title, text, metric."""
STANDING_COSTS: Final = (("email", 1_900), ("social", 2_600))
"""What channels cost every day without a campaign, in cents: who writes the newsletter, who answers on networks."""
GOALS: Final = (
    ("Revenue of the month", "revenue.gross", "0.90", "Grow the market", "seasonal"),
    ("New accounts of the month", "users.signups", "0.95", "Grow the market", "linear"),
    ("Orders of the month", "orders.count", "0.94", "Grow the market", "linear"),
)
"""Name, metric, how many times the last 30 days, objective, shape."""
SEGMENTS: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    (
        "Left a basket",
        "Put something into the basket in the last 30 days and did not order within two days.",
        "answer",
        {
            "kind": "funnel",
            "question": {
                "steps": [{"events": ["cart_updated"]}, {"events": ["order_completed"]}],
                "period": "last_30d",
                "window": "2d",
            },
            "place": {"step": 0, "outcome": "dropped"},
        },
    ),
    (
        "Buyers in Germany",
        "Paid something in the last 30 days.",
        "measure",
        {"measure": "revenue.payers", "period": "last_30d", "dimension": "country", "keys": ["DE"]},
    ),
)


def costs_put(room: Room) -> None:
    """What each campaign has cost by day, as somebody would import it."""
    from kpis.explore.channels import Cost, costs_import

    costs = [
        Cost(
            day=room.day(day),
            channel=campaign.channel,
            amount=Decimal(campaign.cost(day, room.plan.size)) / 100,
            currency="EUR",
            campaign=campaign.name,
        )
        for campaign in CAMPAIGNS
        for day in range(room.days_told)
        if campaign.runs(day)
    ]
    costs += [
        Cost(room.day(day), channel, Decimal(int(cents * room.plan.size)) / 100, "EUR")
        for channel, cents in STANDING_COSTS
        for day in range(room.days_told)
    ]
    costs_import(tenant=room.tenant, costs=costs, now=room.now)


def margin_put(room: Room) -> None:
    """The share of revenue that is margin, unless somebody has said one."""
    from analytics.models import Tenant
    from analytics.tenancy import tenant_context

    with tenant_context(room.tenant.id):
        row = Tenant.objects.select_for_update().get(pk=room.tenant.id)
        if "margin_share" not in row.settings:
            row.settings["margin_share"] = MARGIN_SHARE
            row.save(update_fields=["settings"])


def notes_put(room: Room) -> None:
    """What happened, on the charts: bursts of advertising, incidents, releases."""
    from kpis.annotations import annotation_add, annotations_between

    seen = {
        each.title
        for each in annotations_between(
            tenant_id=room.tenant.id, start=_at(room, 0, 0), end=_at(room, ALWAYS // 100, 0)
        )
    }
    bursts = [
        (each.first_day, 0.0, 24.0 * (each.last_day - each.first_day + 1), "campaign", f"Campaign {each.name}",
         f"Advertising through {each.source}.", "")
        for each in CAMPAIGNS
        if each.last_day < ALWAYS
    ]  # fmt: skip
    for day, hour, hours, kind, title, text, metric in (*NOTES, *bursts):
        if title not in seen and day < room.days_told:
            at = _at(room, day, hour)
            said: dict[str, Any] = {"at": at, "kind": kind, "title": title, "text": text, "metric": metric}
            said |= {"until": at + timedelta(hours=hours)} if hours else {}
            annotation_add(tenant_id=room.tenant.id, said=said, author=AUTHOR, now=room.now)


def goals_put(room: Room) -> None:
    """Goals of this month, a little above the last 30 days."""
    from analytics.tenancy import tenant_context
    from kpis.goals.models import Goal
    from kpis.goals.services import GoalDraft, goal_create
    from kpis.series import metric_series

    with tenant_context(room.tenant.id):
        if Goal.objects.filter(tenant_id=room.tenant.id).exists():
            return
    today = room.until.astimezone(room.zone).date()
    for name, metric, times, objective, shape in GOALS:
        series = metric_series(
            tenant_id=room.tenant.id,
            metric=metric,
            start=_at(room, room.days_told - 30, 0),
            end=_at(room, room.days_told, 0),
            now=room.now,
        )
        target = _rounded(Decimal(series.total or 0) * Decimal(times))
        if target > 0:
            draft = GoalDraft(
                name=name, metric=metric, target=target, first=today, shape=shape, owner=AUTHOR, objective=objective
            )
            goal_create(tenant_id=room.tenant.id, draft=draft, actor=AUTHOR, now=room.now)


def segments_put(room: Room) -> None:
    """Kept sets of people that somebody would write to."""
    from analytics.tenancy import tenant_context
    from kpis.models import PeopleSegment
    from kpis.segments.services import segment_create

    for name, description, source, definition in SEGMENTS:
        with tenant_context(room.tenant.id):
            if PeopleSegment.objects.filter(tenant_id=room.tenant.id, name=name).exists():
                continue
        segment_create(
            tenant=room.tenant,
            name=name,
            description=description,
            source=source,
            definition=definition,
            now=room.now,
            created_by=AUTHOR,
        )
        room.still_here()


def _at(room: Room, day: int, hour: float) -> datetime:
    midnight = datetime.combine(room.day(day), datetime.min.time(), tzinfo=room.zone)
    return midnight.astimezone(UTC) + timedelta(hours=hour)


def _rounded(value: Decimal) -> Decimal:
    """To two digits, as people set targets."""
    return value.quantize(Decimal(10) ** (value.adjusted() - 1)) if value > 0 else value


furnishings.register(Furnishing("costs", costs_put))
furnishings.register(Furnishing("margin", margin_put))
furnishings.register(Furnishing("notes", notes_put))
furnishings.register(Furnishing("goals", goals_put))
furnishings.register(Furnishing("segments", segments_put))
