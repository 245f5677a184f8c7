"""The state of a tenant's counting also says whether it has daily visitors: nothing is asked of a tenant that has none."""

from __future__ import annotations

from importlib import import_module

from django.db import migrations

_former = import_module("kpis.migrations.0003_counting")
FORMER = _former.CREATE
# The newest one: the first entry of a partial index, read backwards.
NEWEST = """
    SELECT s.id INTO daily_through FROM bw_subject s
     WHERE s.tenant_id = p_tenant AND s.is_daily ORDER BY s.id DESC LIMIT 1;
    RETURN NEXT;
END $$"""
CREATE = FORMER.replace("last_source text)", "last_source text, daily_through int)").replace(
    "\n    RETURN NEXT;\nEND $$", NEWEST
)
RIGHTS = _former.statements[1:]


class Migration(migrations.Migration):
    dependencies = [
        ("bellwether_kpis", "0009_metric_thresholds"),
        ("bellwether_analytics", "0010_daily_visitors"),
    ]

    operations = [
        migrations.RunSQL(
            ("DROP FUNCTION bw_counting(int)", CREATE, *RIGHTS), ("DROP FUNCTION bw_counting(int)", FORMER, *RIGHTS)
        )
    ]
