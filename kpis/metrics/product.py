"""Product: do people come back, do those who look also join and turn up, which features are used, what automations
save, how posts do.
"""

from __future__ import annotations

from kpis.base import Additivity, Measure, Metric, Retained, Share, Unit, Value, register
from kpis.metrics.shapes import Family
from kpis.taxonomy import named

STEPS = {
    "viewers": ("Viewers", "event_viewed", "opened a page of something to join"),
    "joiners": ("Joiners", "event_joined", "signed up for something"),
    "attendees": ("Attendees", "event_attended", "turned up"),
}
ALSO = {"event_viewed": ("listing_viewed",)}
"""A listing is something that one can join."""

register(
    *(
        Measure(
            id=f"conversion.{step}",
            aggregate="distinct",
            events=named(event, *ALSO.get(event, ())),
            dimensions=("country", "platform"),
        )
        for step, (_, event, _) in STEPS.items()
    )
)


def step_count(step: str, name: str, event: str, what: str) -> Metric:
    return Metric(
        id=f"conversion.{step}",
        name=name,
        help=f"Different people who {what}.",
        in_words=f"distinct persons with {event}",
        example="Ann twice, Bob once: 2",
        form=Value(f"conversion.{step}"),
        additivity=Additivity.UNION,
    )


def conversion(who: str, among: str) -> Metric:
    first, then = STEPS[among], STEPS[who]
    return Metric(
        id=f"conversion.{first[1].removeprefix('event_')}_to_{then[1].removeprefix('event_')}",
        name=f"{first[0]} who became {then[0].lower()}",
        help=f"Of the people who {first[2]} in the period, the share who {then[2]} in it too, in whatever order.",
        in_words=f"persons with both events / persons with {first[1]}",
        example=f"4 {first[0].lower()}, 1 of them with {then[1]}: 0.25",
        form=Share(f"conversion.{who}", f"conversion.{among}"),
        unit=Unit.RATIO,
    )


def retention(days: int) -> Metric:
    return Metric(
        id=f"retention.day_{days}",
        name=f"{days}-day retention",
        help=f"Of the people whose first day ever lies in the period, the share active again exactly {days} days "
        f"later, by calendar days. People whose {days} days are not over yet are left out, and so are daily visitors: "
        "no day knows them from another.",
        in_words=f"new persons active on day {days} / new persons whose day {days} is over",
        example="10 come on Monday, 4 of them again on the day that counts: 0.4",
        form=Retained("users.active", days),
        unit=Unit.RATIO,
        definition_version=2,
    )


register(
    *(step_count(step, *words) for step, words in STEPS.items()),
    conversion("joiners", "viewers"),
    conversion("attendees", "joiners"),
    conversion("attendees", "viewers"),
    retention(7),
    retention(30),
)

features = Family(owner="product", by=("object_id", "platform"))
features.counted("features.used", "Uses of features", "How often features were used.", "feature_used")
features.people("features.users", "Users of features", "Different people who used a feature.", "feature_used")
features.share(
    "features.adoption",
    "Feature adoption",
    "The share of all active people who used a feature; broken down by object, of each feature. Everybody active stays "
    "the denominator, so it is broken down but not filtered.",
    Share("features.users", "users.active", of_everyone=True),
    in_words="active persons with feature_used / active users",
    example="2 of 10 active people use search: 0.2",
)

automation = Family(owner="operations", by=("object_id",))
automation.counted("automation.completed", "Automated runs", "Runs that needed nobody.", "automation_completed")
automation.counted(
    "automation.failed",
    "Failed automations",
    "Runs that needed somebody.",
    "automation_failed",
    by=("object_id", "reason"),
    better="down",
)
automation.counted(
    "automation.runs",
    "Runs of automations",
    "Runs that ended, with help or without.",
    "automation_completed",
    "automation_failed",
)
automation.summed(
    "automation.hours_saved",
    "Hours saved",
    "Hours of work that automated runs took off people, as the property `value` of each says.",
    "automation_completed",
    field="value",
    unit=Unit.NUMBER,
    example="runs that saved 0.5 and 1.5 hours: 2",
)
automation.ratio(
    "automation.efficiency",
    "Automation efficiency",
    "The share of runs that ended without anybody's help.",
    "automation.completed",
    "automation.runs",
    in_words="automation_completed / (completed + failed)",
    example="9 of 10: 0.9",
    limits=("0.9", "0.7"),
)

posts = Family(owner="marketing", by=("platform", "campaign", "content_type"))
posts.counted("posts.count", "Posts", "Posts that went out.", "post_published")
posts.counted(
    "posts.engagements",
    "Reactions to posts",
    "Likes, shares, comments and the like.",
    "post_engaged",
    by=("platform", "campaign", "content_type", "action"),
)
posts.ratio(
    "posts.engagement_per_post",
    "Reactions per post",
    "Reactions of the period for each post of the period; reactions to older posts are in it.",
    "posts.engagements",
    "posts.count",
    in_words="reactions / posts",
    example="6 reactions, 2 posts: 3",
    unit=Unit.NUMBER,
)
