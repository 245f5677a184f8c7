"""Creators: who goes live, hosts and battles, what it earns them, whether they stay. The object is the creator."""

from __future__ import annotations

from kpis.base import Condition, Kept, Metric, Newcomers, Unit, register
from kpis.metrics.shapes import Family, thresholds

WORK = ("stream_started", "battle_started", "event_hosted")
OF_CREATORS = (Condition("object_type", "eq", "creator"),)

creators = Family(owner="creators", by=("object_id", "country"))

creators.people(
    "creators.active",
    "Active creators",
    "Different creators who went live, battled or hosted an event.",
    *WORK,
    by=("country", "platform"),
)
creators.summed(
    "creators.revenue",
    "Creators' revenue",
    "Gifts and memberships whose object is a creator: inside gross revenue, so never add the two. Broken down by "
    "object it ranks creators.",
    "gift_sent",
    "membership_purchased",
    where=OF_CREATORS,
    example="gifts of 1.00 and 2.50 to Cyd: 3.50",
)
creators.counted(
    "creators.streams",
    "Streams by creator",
    "Times a creator went live; broken down by object it ranks creators.",
    "stream_started",
    by=("object_id",),
)
creators.summed(
    "creators.viewers",
    "Viewers of creators",
    "Viewers of the streams that ended, added up over streams: one person who watches two streams counts twice.",
    "stream_ended",
    field="properties.viewers",
    unit=Unit.COUNT,
    by=("object_id",),
    example="streams with 10 and 30 viewers: 40",
)
creators.counted(
    "creators.gifts",
    "Gifts to creators",
    "Gifts whose object is a creator.",
    "gift_sent",
    where=OF_CREATORS,
    by=("object_id",),
)
creators.ratio(
    "creators.revenue_per_creator",
    "Revenue per active creator",
    "What creators' gifts and memberships bring for each creator who was active.",
    "creators.revenue",
    "creators.active",
    in_words="creators' revenue / active creators",
    example="3.50 of 2 creators: 1.75",
    unit=Unit.MONEY,
)

register(
    Metric(
        id="creators.new",
        name="New creators",
        help="Creators active in the period who had never been active before it.",
        in_words="creators active now and never before",
        example="Cyd was live last month too, Dan never before: 1",
        form=Newcomers("creators.active"),
        owner="creators",
    ),
    Metric(
        id="creators.returning",
        name="Returning creators",
        help="Creators active in the period and before it. New + returning = active.",
        in_words="creators active now and before",
        example="Cyd was live last month too, Dan never before: 1",
        form=Newcomers("creators.active", is_returning=True),
        owner="creators",
    ),
    Metric(
        id="creators.retention",
        name="Creator retention",
        help="Of the creators active in the period before this one (of the same length), the share active in this one. "
        "Null when nobody was active before. Daily visitors are left out: no day knows them from another.",
        in_words="creators active now and in the period before / creators active in the period before",
        example="4 creators last week, 3 of them this week: 0.75",
        form=Kept("creators.active"),
        unit=Unit.RATIO,
        definition_version=2,
        thresholds=thresholds(("0.5", "0.3")),
        owner="creators",
    ),
)
