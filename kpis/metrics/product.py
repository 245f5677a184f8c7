"""Product: do people come back, and do those who look also join and turn up."""

from __future__ import annotations

from kpis.base import Additivity, Measure, Metric, Retained, Share, Unit, Value, register
from kpis.taxonomy import named

STEPS = {
    "viewers": ("Viewers", "event_viewed", "opened a page of something to join"),
    "joiners": ("Joiners", "event_joined", "signed up for something"),
    "attendees": ("Attendees", "event_attended", "turned up"),
}

register(
    *(
        Measure(id=f"conversion.{step}", aggregate="distinct", events=named(event), dimensions=("country", "platform"))
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
        f"later, by calendar days. People whose {days} days are not over yet are left out.",
        in_words=f"new persons active on day {days} / new persons whose day {days} is over",
        example="10 come on Monday, 4 of them again on the day that counts: 0.4",
        form=Retained("users.active", days),
        unit=Unit.RATIO,
    )


register(
    *(step_count(step, *words) for step, words in STEPS.items()),
    conversion("joiners", "viewers"),
    conversion("attendees", "joiners"),
    conversion("attendees", "viewers"),
    retention(7),
    retention(30),
)
