"""Guards the tables of what was counted."""

from __future__ import annotations

from django.db import migrations

from analytics.rls import APP, ERASURE, EnableRLS

TABLES = ("bw_bucket", "bw_metric_definition", "bw_metric_value")


class Migration(migrations.Migration):
    dependencies = [("bellwether_kpis", "0001_initial"), ("bellwether_analytics", "0002_storage")]

    operations = [
        *[EnableRLS(table) for table in TABLES],
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
