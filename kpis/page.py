"""The catalogue as a page, written from the registry: `manage.py catalogue` writes it, a test says when it is stale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from kpis.base import Metric, measures, metrics
from kpis.catalogue import definition_version
from kpis.needs import measures_in
from kpis.taxonomy import GROUPS, StandardEvent

PAGE: Final = Path(__file__).with_name("CATALOGUE.md")
HEAD: Final = """# The catalogue

Written by `manage.py catalogue` from `kpis/metrics/` and `kpis/taxonomy.py`; do not edit it. A metric of one tenant, by
formula, is in its own catalogue: `GET /api/v1/kpis/`.

How to read it: *by* lists the breakdowns that are rolled up (any other column of events works too, more slowly); a
value at a limit has reached it; *version* changes with anything that could change the number.
"""
EVENTS: Final = """
# Standard events

Send these names, or give names of your own a meaning: `PUT /api/v1/kpis/mapping/`.
"""


def catalogue_page() -> str:
    """The whole page, as Markdown."""
    ours = sorted((metric for metric in metrics if metric.owner != "tests"), key=lambda metric: metric.family)
    families = [_family(name, list(group)) for name, group in groupby(ours, key=lambda metric: metric.family)]
    groups = [_group(title, events) for title, events in GROUPS.items()]
    return "\n".join([HEAD, *families, EVENTS, *groups])


def _family(name: str, members: list[Metric]) -> str:
    return f"## {name}\n\n" + "\n".join(line for metric in members for line in _metric(metric))


def _metric(metric: Metric) -> Iterator[str]:
    every = {item.id: item for item in metrics}
    behind = measures_in(metric, every)
    by = set.intersection(*(set(measures[name].dimensions) for name in behind)) if behind else set()
    facts = [metric.unit.value, metric.kind.value, f"better {metric.better}", f"owner {metric.owner}"]
    limits = [f"{level} {limit}" for level, limit in _limits(metric)]
    if by:
        limits.append(f"by {', '.join(sorted(by))}")
    yield f"**`{metric.id}`** {metric.name} ({', '.join(facts)}; version {definition_version(metric, every)})"
    yield f": {metric.help}"
    yield f": = {metric.in_words}. Example: {metric.example}." + (f" {'; '.join(limits)}." if limits else "")
    yield ""


def _limits(metric: Metric) -> Iterator[tuple[str, object]]:
    for level in ("warning", "critical"):
        limit = getattr(metric.thresholds, level)
        if limit is not None:
            yield level, limit


def _group(title: str, events: Iterable[StandardEvent]) -> str:
    rows = [
        f"| `{event.name}` | {event.help} | {_codes(event.carries)} | {_codes(event.aliases)} |" for event in events
    ]
    return "\n".join([f"\n## {title}\n", "| event | means | carries | other names |", "|---|---|---|---|", *rows])


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
