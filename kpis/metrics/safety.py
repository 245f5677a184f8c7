"""Safety: what is reported, what is done about it, and one number for how well that goes."""

from __future__ import annotations

from dataclasses import dataclass

from kpis.base import Formula, Metric, Unit, register
from kpis.metrics.shapes import Family, thresholds

safety = Family(owner="safety", by=("reason", "country"))

safety.counted(
    "safety.flagged",
    "Content flagged",
    "Reports of content, by people or filters.",
    "content_flagged",
    by=("reason", "content_type", "country", "platform"),
    better="down",
)
safety.counted("safety.banned", "Users banned", "People shut out in the period.", "user_banned", better="down")
safety.counted("safety.unbanned", "Users let back in", "Bans lifted in the period.", "user_unbanned")
safety.counted("safety.appeals", "Appeals", "Objections to decisions.", "appeal_opened", by=("reason",), better="down")
safety.counted(
    "safety.appeals_granted",
    "Appeals granted",
    "Decisions taken back after an appeal.",
    "appeal_granted",
    by=("reason",),
    better="down",
)
safety.counted(
    "safety.appeals_decided",
    "Appeals decided",
    "Appeals granted or rejected in the period.",
    "appeal_granted",
    "appeal_rejected",
    by=("reason",),
)
safety.counted(
    "safety.actions",
    "Moderation actions",
    "Decisions of moderators on flagged content.",
    "moderation_action",
    by=("action", "content_type"),
)
safety.averaged(
    "safety.response_time",
    "Time to a decision",
    "How long flagged content waits for a moderator, on average.",
    "moderation_action",
    by=("action",),
    better="down",
    example="decisions after 10 and 30 minutes: 20 minutes (1,200,000 ms)",
)
safety.ratio(
    "safety.appeals_granted_share",
    "Share of appeals granted",
    "Of the appeals decided, the share in which the decision was taken back: how often moderation was wrong.",
    "safety.appeals_granted",
    "safety.appeals_decided",
    in_words="appeals granted / (granted + rejected)",
    example="1 of 4: 0.25",
    better="down",
    limits=("0.2", "0.4"),
)


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """How many of 100 points each part can cost, and what it costs a unit. The four maxima add up to 100."""

    version: int
    flags_at_most: int
    flags_each: str
    bans_at_most: int
    bans_each: str
    unhandled: int
    wrong: int

    @property
    def formula(self) -> str:
        flags = f"min({self.flags_at_most}, {self.flags_each} * safety.flagged_per_thousand)"
        bans = f"min({self.bans_at_most}, {self.bans_each} * safety.banned_per_thousand)"
        unhandled = f"{self.unhandled} * (1 - safety.handled_share)"
        wrong = f"{self.wrong} * coalesce(safety.appeals_granted_share, 0)"
        return f"max(0, min(100, 100 - {flags} - {bans} - {unhandled} - {wrong}))"

    @property
    def in_words(self) -> str:
        return (
            f"100 - {self.flags_each} for each flag per 1,000 active users (at most {self.flags_at_most}) - "
            f"{self.bans_each} for each ban per 1,000 (at most {self.bans_at_most}) - {self.unhandled} × share of "
            f"flags without a decision - {self.wrong} × share of appeals granted; never below 0 or above 100"
        )


SCORE = ScoreWeights(
    version=1, flags_at_most=40, flags_each="0.5", bans_at_most=30, bans_each="4", unhandled=20, wrong=10
)
"""Raise `version` with any change: history is then marked as redefined."""


def per_thousand(what: str, name: str, noun: str) -> Metric:
    return Metric(
        id=f"safety.{what}_per_thousand",
        name=name,
        help=f"{noun} for every 1,000 active users, so that a growing audience does not look like a worse one.",
        in_words=f"1,000 × {noun.lower()} / active users",
        example="3 among 1,500 active users: 2",
        form=Formula(f"1000 * safety.{what} / users.active"),
        unit=Unit.NUMBER,
        better="down",
        owner="safety",
    )


register(
    per_thousand("flagged", "Flags per 1,000 users", "Flags"),
    per_thousand("banned", "Bans per 1,000 users", "Bans"),
    Metric(
        id="safety.handled_share",
        name="Share of flags decided",
        help="Decisions of moderators for each flag of the period, at most 1; 1 when nothing was flagged. A decision "
        "on an older flag counts on its own day.",
        in_words="moderation actions / flags, at most 1",
        example="10 flags, 8 decisions: 0.8",
        form=Formula("min(1, divide(safety.actions, safety.flagged, 1))"),
        unit=Unit.RATIO,
        thresholds=thresholds(("0.9", "0.7")),
        owner="safety",
    ),
    Metric(
        id="safety.score",
        name="Safety score",
        help=f"How safe the place is, from 0 to 100. Weights of version {SCORE.version}: {SCORE.in_words}. Null when "
        "nobody was active.",
        in_words=SCORE.in_words,
        example="10 flags and 1 ban among 1,000 users, 8 decisions, no appeal: 100 - 5 - 4 - 4 - 0 = 87",
        form=Formula(SCORE.formula),
        unit=Unit.NUMBER,
        thresholds=thresholds(("80", "60")),
        owner="safety",
        definition_version=SCORE.version,
    ),
)
