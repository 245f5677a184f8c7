"""A worker that dies takes its job with it, whoever's fault it was; so a job may lose more workers than it may fail."""

from __future__ import annotations

from importlib import import_module

from django.db import migrations

_former = import_module("analytics.migrations.0002_storage")
SIGNATURE = "bw_job_claim(p_kinds text[], p_id uuid, p_lease_seconds int, p_now timestamptz)"
FORMER = _former.FUNCTIONS[SIGNATURE][1]
DEATHS_A_FAILURE = 3
"""Failures are the handler's own and stop it after max_attempts. Deaths are mostly the machine's, so three times that."""

LIMIT = "attempts >= max_attempts"
assert FORMER.count(LIMIT) == 1
PATIENT = FORMER.replace(LIMIT, f"attempts >= max_attempts * {DEATHS_A_FAILURE}")


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0002_storage")]

    operations = [
        migrations.RunSQL(
            f"CREATE OR REPLACE FUNCTION {SIGNATURE} {PATIENT}", f"CREATE OR REPLACE FUNCTION {SIGNATURE} {FORMER}"
        )
    ]
