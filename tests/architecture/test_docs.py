"""Documents that tell of something that is not there fail here."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[2]
APPS = ("analytics", "kpis", "insights", "alerts", "reports")
PAGES = [ROOT / "README.md", ROOT / "MIGRATING.md", *(ROOT / app / "README.md" for app in APPS)]
# Read by bin/up before settings are, or only by tests.
OUTSIDE_SETTINGS = {"WEB_WORKERS", "WORKER_PROCESSES", "BELLWETHER_SERVICE_ACCOUNT", "POSTGRES_OPTIONS"}


def mentioned(pattern: str) -> set[str]:
    return {found for page in PAGES for found in re.findall(pattern, page.read_text())}


def test_every_setting_of_the_environment_is_in_the_example_and_nothing_else_is() -> None:
    settings = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r"(?:env\.\w+|_setting|_database)\(\s*\"([A-Z_]+)\"", settings))
    told = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - told == set()
    assert told - read - OUTSIDE_SETTINGS == set()


def test_every_command_that_a_page_names_exists() -> None:
    named = mentioned(r"manage\.py ([a-z_]+)") - {"migrate", "config", "check"}
    assert named - set(get_commands()) == set()


def test_every_command_of_ours_is_named_on_some_page() -> None:
    ours = {name for name, app in get_commands().items() if app in (*APPS, "config")}
    assert ours - mentioned(r"\b([a-z_]{3,})\b") == set()


@pytest.mark.parametrize("module", sorted(mentioned(r"python -m (tests\.[a-z_.]+[a-z_])")))
def test_every_benchmark_that_a_page_names_exists(module: str) -> None:
    assert find_spec(module) is not None


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_app_says_what_it_is_for() -> None:
    assert all((ROOT / app / "README.md").read_text().startswith("# ") for app in APPS)


def test_the_changelog_begins_with_the_newest_version() -> None:
    versions = re.findall(
        r"^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert versions
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version[0].split(".")], reverse=True)
