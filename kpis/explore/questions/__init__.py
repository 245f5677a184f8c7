"""The kinds that exist, one file each: its JSON, its frozen question, its answer."""

from kpis.explore.questions import attribution, funnel, lifecycle, paths, retention  # noqa: F401  they register
