"""Warning and critical that a tenant sets for a metric."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS


class Migration(migrations.Migration):
    dependencies = [
        ("bellwether_analytics", "0008_audit"),
        ("bellwether_kpis", "0008_segment_sizes"),
    ]

    operations = [
        migrations.CreateModel(
            name="MetricThreshold",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("metric", models.CharField(max_length=100)),
                ("warning", models.DecimalField(blank=True, decimal_places=10, max_digits=30, null=True)),
                ("critical", models.DecimalField(blank=True, decimal_places=10, max_digits=30, null=True)),
                ("updated_at", models.DateTimeField()),
                (
                    "tenant",
                    analytics.models.base.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="bellwether_analytics.tenant",
                    ),
                ),
            ],
            options={
                "db_table": "bw_metric_threshold",
                "constraints": [models.UniqueConstraint(fields=("tenant", "metric"), name="bw_metric_threshold_once")],
            },
        ),
        EnableRLS("bw_metric_threshold"),
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON bw_metric_threshold TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
