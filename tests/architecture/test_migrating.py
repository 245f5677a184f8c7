"""MIGRATING.md promises addresses and metrics: each has to be there, and what it calls missing has to be missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve

from analytics.capture.doors import route
from kpis.base import metrics

PAGE = (Path(__file__).resolve().parents[2] / "MIGRATING.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not set(line) <= set("|- ")]
ARGUMENTS = {"{metric}": "revenue.gross", "{id}": "1"}
UUIDS = {"{id}": "00000000-0000-4000-8000-000000000000"}


def ours(row: str) -> str:
    return row.strip("| ").split(" | ")[-1]


def there(text: str) -> list[str]:
    """`GET kpis/{metric}/series/?by=channel` and `/boards/` of the part that is not called missing."""
    return re.findall(r"`(?:(?:GET|POST|PUT|DELETE) |(?=/))([^`\s?]+)[^`]*`", re.sub(r"\*not yet\*.*", "", text))


def missing(text: str) -> list[str]:
    return [path for part in re.findall(r"\*not yet\*:(.*)", text) for path in re.findall(r"`([^`]+/)`", part)]


def answers(path: str) -> bool:
    """Does a page, a route of the API or a door of the SDKs have this address?"""
    return any(_resolves(path, values) for values in (ARGUMENTS, UUIDS))


def _resolves(path: str, values: dict[str, str]) -> bool:
    for argument, value in values.items():
        path = path.replace(argument, value)
    try:
        return bool(resolve(path if path.startswith("/") else f"/api/v1/{path}"))
    except Resolver404:
        return path == "/ws/live/"


PROMISED = sorted({path for row in ROWS for path in there(ours(row))})
DENIED = sorted({path for row in ROWS for path in missing(ours(row))})
DOORS = sorted(
    {
        path
        for row in ROWS
        if "the same paths" in row
        for path in re.findall(r"`(?:POST )?(/[^`]+)`", row.split(" | ")[0])
    }
)


@pytest.mark.parametrize("path", PROMISED)
def test_an_address_that_the_page_promises_is_there(path: str) -> None:
    assert answers(path)


@pytest.mark.parametrize("path", DENIED)
def test_an_address_that_the_page_calls_missing_is_missing(path: str) -> None:
    assert not answers(path)


@pytest.mark.parametrize("path", DOORS)
def test_a_path_that_stays_the_same_is_a_door(path: str) -> None:
    assert route("POST", path) is not None


def test_the_page_names_metrics_that_exist() -> None:
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", PAGE))
    assert named
    assert named - {metric.id for metric in metrics} == set()


def test_every_path_of_the_table_of_earlier_systems_has_something_beside_it() -> None:
    earlier = PAGE.split("## Earlier systems of our own")[1]
    pairs = [line.strip("| ").split(" | ") for line in earlier.splitlines() if line.startswith("| ")][1:]
    assert len(pairs) > 30
    assert all(len(pair) == 2 and pair[1] for pair in pairs)
