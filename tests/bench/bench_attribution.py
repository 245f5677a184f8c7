"""Attribution of 1 million sales among 10 million touches: five rule models (bar 5 s), Markov (15 s), all nine.

    python -m tests.bench.bench_attribution [--sales 1000000] [--touches 10000000] [--home /tmp/bench]

Reading the lake, channels by rule, windows and splitting to the cent are all in the time.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

RULES = ("first", "last", "linear", "time_decay", "position")
MEDIUMS = pa.array([None, "cpc", "email"])
SOURCES = ("", "google", "bing", "facebook", "newsletter", "partner-a", "partner-b", "tiktok", "reddit", "mail")


def made(folder: Path, sales: int, touches: int, people: int) -> None:
    """A month of both, and a month of touches before."""
    from analytics.periods import to_micros
    from tests.bench import lakes

    dice = np.random.default_rng(7)
    lakes.fresh(folder)
    days = 60
    for day in range(days):
        sold = sales // 30 if day >= 30 else 0
        count = touches // days + sold
        is_sale = np.arange(count) < sold
        name = pa.DictionaryArray.from_arrays(is_sale.astype(np.int32), ["page_view", "order_completed"]).cast(
            pa.string()
        )
        source = dice.choice(len(SOURCES), count)
        channel = pa.DictionaryArray.from_arrays(
            pa.array(source.astype(np.int32), mask=(source == 0) | is_sale), list(SOURCES)
        ).cast(pa.string())
        columns = {
            "name": name,
            "person_id": dice.integers(1, people, count).astype(np.int32),
            "ts": to_micros(lakes.START) + day * lakes.MICROS + dice.integers(0, lakes.MICROS, count),
            "seq": np.zeros(count, dtype=np.int64),
            "channel": channel,
            "medium": MEDIUMS.take(pa.array(np.arange(count) % 3)),
            "amount_base": pa.array(dice.integers(100, 20_000, count), mask=~is_sale),
        }
        lakes.written(folder, day, columns)


def main() -> None:
    """Prints seconds, and fails when a model loses a cent."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sales", type=int, default=1_000_000)
    options.add_argument("--touches", type=int, default=10_000_000)
    options.add_argument("--people", type=int, default=700_000)
    options.add_argument("--home", type=Path, default=Path("/tmp/bellwether-bench"))
    asked = options.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from kpis.attribution import MODELS, Attribution, attribution_read
    from tests.bench import lakes

    folder = asked.home / f"attribution-{asked.sales}-{asked.touches}"
    if not folder.exists():
        made(folder, asked.sales, asked.touches, asked.people)
    end = lakes.START + 60 * lakes.DAY
    for label, models in (("five rule models", RULES), ("Markov", ("markov",)), ("all nine", MODELS)):
        question = Attribution(start=lakes.START + 30 * lakes.DAY, end=end, touch="hit", models=models)
        began = time.perf_counter()
        with lakes.opened(
            folder, ("page_view", "order_completed"), (0, 60), ("utm_medium", "$referring_domain")
        ) as store:
            found = attribution_read(store, question, timezone="UTC", currency="EUR", now=end)
        took = time.perf_counter() - began
        for table in found.models:
            assert sum(credit.revenue for credit in table.credits) == found.revenue, table.model
        print(
            f"{label:18} {took:6.2f} s   {found.conversions:,} sales, {found.touches:,} touches,"
            f" {found.mean_touches or 0:.1f} before a sale; load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
