"""When things happen: local days of a zone as UTC instants, and the hours at which people come."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

# Visits by local hour: a small peak at lunch, the large one in the evening.
HOURS: Final = np.array(
    [14, 8, 5, 3, 3, 5, 11, 20, 28, 32, 35, 40, 50, 44, 38, 37, 40, 48, 60, 78, 92, 88, 60, 32], dtype=float
)
HOUR_SHIFT: Final = {"US": 6, "CA": 6, "GB": 1}
"""Hours later than the tenant's zone at which people of far countries live their day."""


def midnight(zone: ZoneInfo, day: date) -> datetime:
    """The instant at which a local day begins."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def day_seconds(zone: ZoneInfo, day: date) -> float:
    """How long a local day is: 23, 24 or 25 hours."""
    return (midnight(zone, day + timedelta(days=1)) - midnight(zone, day)).total_seconds()


def visit_seconds(rng: np.random.Generator, countries: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Seconds after local midnight at which visits begin."""
    hours = rng.choice(24, size=len(countries), p=HOURS / HOURS.sum())
    shifts = np.array([HOUR_SHIFT.get(name, 0) for name in names])
    seconds: np.ndarray = ((hours + shifts[countries]) % 24 + rng.random(len(countries))) * 3600
    return seconds
