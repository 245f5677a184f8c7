"""R22: the whole product against a model of a few lists, step by step.

Inside `bin/test` it runs small. At full size (10,000 steps for each of 50 seeds: hours):

    MODEL_SEEDS=50 MODEL_STORIES=200 MODEL_STEPS=50 python -m pytest tests/model -n auto

A seed that fails prints its story; `MODEL_FIRST=17 MODEL_SEEDS=1 MODEL_SHRINK=1` looks for the shortest one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Story

FIRST = int(os.environ.get("MODEL_FIRST", "1"))
SEEDS = int(os.environ.get("MODEL_SEEDS", "4"))
STORIES = int(os.environ.get("MODEL_STORIES", "3"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))


def profile(stories: int, steps: int) -> hypothesis.settings:
    """So many stories of so many steps. Shrinking takes minutes, so it is asked for by MODEL_SHRINK=1."""
    shrink = [Phase.shrink] if os.environ.get("MODEL_SHRINK") else []
    return hypothesis.settings(
        max_examples=stories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, *shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )


@pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
@pytest.mark.parametrize("number", range(FIRST, FIRST + SEEDS))
def test_the_product_says_what_the_reference_says(number: int, settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_SPOOL_DIR = str(tmp_path / "spool")

    @seed(number)
    class Seeded(Story):
        """With its own randomness."""

    run_state_machine_as_test(Seeded, settings=profile(STORIES, STEPS))
