"""After a bulk load, the planner looks only at the columns of events that decide a plan. Autovacuum does all of them a
minute later; to wait for that is half a second of each backfill."""

from __future__ import annotations

from importlib import import_module

from django.db import migrations

_storage = import_module("analytics.migrations.0002_storage")
REFRESH = "bw_statistics_refresh()"
FORMER = _storage.FUNCTIONS[REFRESH][1]
NARROW = FORMER.replace("ANALYZE bw_event,", "ANALYZE bw_event (id, tenant_id, ts, subject_id, name, session_id),")


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0008_audit")]

    operations = [
        migrations.RunSQL(
            f"CREATE OR REPLACE FUNCTION {REFRESH} {NARROW}", f"CREATE OR REPLACE FUNCTION {REFRESH} {FORMER}"
        )
    ]
