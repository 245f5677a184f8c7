"""Gaming: rounds, players, stakes and what the house keeps. Free play is in no sum of money."""

from __future__ import annotations

from kpis.base import Condition, Formula, Metric, Unit, register
from kpis.metrics.shapes import Family

REAL_MONEY = (Condition("properties.free_play", "ne", "true"),)

gaming = Family(owner="gaming", by=("content_type", "country", "platform"))

gaming.counted("gaming.games", "Games", "Rounds that began; `content_type` is the game.", "game_started")
gaming.people(
    "gaming.players",
    "Active players",
    "Different people who began or ended a round, or placed a stake.",
    "game_started",
    "game_ended",
    "stake_placed",
)
gaming.summed(
    "gaming.stakes",
    "Stakes",
    "Money put in, free play left out. Stakes are no revenue: what the house keeps is.",
    "stake_placed",
    where=REAL_MONEY,
    example="stakes of 10.00 and 5.00 and one of play money: 15.00",
)
gaming.summed(
    "gaming.payouts",
    "Payouts",
    "Money paid out to players, free play left out.",
    "payout_made",
    where=REAL_MONEY,
    better="down",
    example="payouts of 8.00 and 4.00: 12.00",
)
gaming.averaged(
    "gaming.mean_duration",
    "Mean length of a game",
    "How long the rounds that ended lasted, on average.",
    "game_ended",
    example="rounds of 2 and 4 minutes: 3 minutes (180,000 ms)",
)
gaming.summed(
    "gaming.play_time",
    "Time played",
    "Length of all rounds that ended, by game and by band of score.",
    "game_ended",
    field="duration_ms",
    unit=Unit.DURATION,
    by=("content_type", "properties.score_band"),
    example="rounds of 2 and 4 minutes: 6 minutes (360,000 ms)",
)
gaming.averaged(
    "gaming.mean_score",
    "Mean score",
    "What the rounds that ended scored, on average.",
    "game_ended",
    field="value",
    unit=Unit.NUMBER,
    by=("content_type",),
    example="scores of 10 and 30: 20",
)
register(
    Metric(
        id="gaming.gross_win",
        name="Gross gaming win",
        help="What the house keeps: stakes less payouts of the same period. Below zero when players won more.",
        in_words="stakes - payouts",
        example="15.00 - 12.00 = 3.00",
        form=Formula("gaming.stakes - gaming.payouts"),
        unit=Unit.MONEY,
        owner="gaming",
    )
)
gaming.ratio(
    "gaming.house_edge",
    "House edge",
    "The share of the stakes that the house keeps; null without stakes. Free play is in neither number.",
    "gaming.gross_win",
    "gaming.stakes",
    in_words="(stakes - payouts) / stakes",
    example="(15.00 - 12.00) / 15.00 = 0.2",
    limits=("0.02", "0"),
)
