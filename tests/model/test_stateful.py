"""R22: the whole product against a model of a few lists, step by step.

Inside `bin/test` it runs small. At full size (10,000 steps for each of 50 seeds, about six hours on four cores):

    MODEL_SEEDS=50 MODEL_STORIES=200 MODEL_STEPS=50 python -m pytest tests/model -n auto

A seed that fails prints its shortest story; `MODEL_FIRST=17 MODEL_SEEDS=1` runs it again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Story

FIRST = int(os.environ.get("MODEL_FIRST", "1"))
SEEDS = int(os.environ.get("MODEL_SEEDS", "4"))
STORIES = int(os.environ.get("MODEL_STORIES", "3"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))


@pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("number", range(FIRST, FIRST + SEEDS))
def test_the_product_says_what_the_reference_says(number: int, settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_SPOOL_DIR = str(tmp_path / "spool")

    @seed(number)
    class Seeded(Story):
        """With its own randomness."""

    run_state_machine_as_test(Seeded, settings=PROFILE)


PROFILE = settings(
    max_examples=STORIES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=[Phase.generate, *([Phase.shrink] if os.environ.get("MODEL_SHRINK") else [])],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)
