"""The page of all metrics: what can be asked, by family, found by words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from kpis.panels import catalogue_matching
from kpis.selectors import MetricInfo


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Metrics by family. `search` is what was looked for."""

    title: str
    search: str
    count: int
    families: tuple[tuple[str, tuple[MetricInfo, ...]], ...]


def catalogue_page(*, tenant_id: int, search: str) -> CataloguePage:
    """Every metric whose id, name or help has all words of the search."""
    found = catalogue_matching(tenant_id=tenant_id, search=search)
    families: dict[str, list[MetricInfo]] = defaultdict(list)
    for info in found:
        families[info.metric.family].append(info)
    return CataloguePage(
        "All metrics", search, len(found), tuple((name, tuple(infos)) for name, infos in families.items())
    )
