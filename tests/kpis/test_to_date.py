"""A range that is not over is compared with equal time of the unit before it (S3), however the question is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from analytics.contracts import TenantInfo
from kpis.parameters import ask_of

PARIS = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
NOW = datetime(2026, 11, 21, 9, 40, tzinfo=UTC)  # Saturday 10:40 in Paris


@pytest.mark.parametrize(
    ("period", "compare", "start", "end"),
    [
        ("today", "previous", datetime(2026, 11, 19, 23, tzinfo=UTC), datetime(2026, 11, 20, 9, 40, tzinfo=UTC)),
        ("today", "year_ago", datetime(2025, 11, 20, 23, tzinfo=UTC), datetime(2025, 11, 21, 9, 40, tzinfo=UTC)),
        # October began in summer time: its clock is an hour ahead, the elapsed time is the same.
        ("mtd", "previous", datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 21, 8, 40, tzinfo=UTC)),
    ],
)
def test_to_date_is_compared_with_equal_elapsed_time(period: str, compare: str, start: datetime, end: datetime) -> None:
    against = ask_of({"period": period, "compare": compare}, PARIS, NOW).arguments()["compare"]
    assert (against.start, against.end) == (start, end)


def test_whole_ranges_keep_their_words() -> None:
    assert ask_of({"period": "last_7d", "compare": "previous"}, PARIS, NOW).arguments()["compare"] == "previous"
