"""Collected files carry a hash of their content, and pages work where nothing was collected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles.management.commands.collectstatic import Command
from django.test import override_settings

from config.static import HashedStorage


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every static file, as `bin/up` collects them."""
    root = tmp_path_factory.mktemp("static")
    storages = {"staticfiles": {"BACKEND": "config.static.HashedStorage"}}
    with override_settings(STATIC_ROOT=root, STORAGES=storages):
        command = Command()
        command.set_options(
            interactive=False,
            verbosity=0,
            link=False,
            clear=False,
            dry_run=False,
            ignore_patterns=[],
            use_default_ignore_patterns=True,
            post_process=True,
            skip_checks=True,
        )
        command.collect()
    return root


def test_modules_import_each_other_by_hashed_names(collected: Path) -> None:
    (app,) = collected.glob("bellwether/js/app.????????????.js")
    imports = re.findall(r'"\./(\w+)(\.[0-9a-f]{12})?\.js"', app.read_text())
    assert imports
    assert all(digest for _, digest in imports), imports


def test_of_the_chart_library_only_what_pages_load_is_collected(collected: Path) -> None:
    names = {path.name for path in collected.glob("echarts/*.js")}
    assert {re.sub(r"\.[0-9a-f]{12}", "", name) for name in names} == {"echarts.common.min.js"}


def test_a_file_that_was_never_collected_keeps_its_name(tmp_path: Path) -> None:
    with override_settings(STATIC_ROOT=tmp_path, DEBUG=False):
        assert HashedStorage(location=tmp_path).stored_name("bellwether/nothing.css") == "bellwether/nothing.css"
