"""Objectives: what a goal named becomes a row of its own, with a period, an owner and a result."""

from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

# The guard binds the owner too, so it is lifted from goals while the names are moved, within this transaction.
MOVE = """
ALTER TABLE bw_goal NO FORCE ROW LEVEL SECURITY;
INSERT INTO bw_objective (id, tenant_id, name, owner, note, period, first, "end", is_archived, created_by,
                          created_at, updated_at, frozen_status)
SELECT gen_random_uuid(), tenant_id, min(objective_name), '', '',
       CASE WHEN count(DISTINCT (period, first)) = 1 THEN min(period) ELSE 'custom' END,
       min(first), max("end"), false, '', min(created_at), min(created_at), ''
  FROM bw_goal WHERE objective_name <> '' GROUP BY tenant_id, lower(objective_name);
UPDATE bw_goal g SET objective_id = o.id
  FROM bw_objective o WHERE o.tenant_id = g.tenant_id AND lower(o.name) = lower(g.objective_name);
ALTER TABLE bw_goal FORCE ROW LEVEL SECURITY;
SET CONSTRAINTS ALL IMMEDIATE;
"""
BACK = """
ALTER TABLE bw_goal NO FORCE ROW LEVEL SECURITY;
UPDATE bw_goal g SET objective_name = o.name FROM bw_objective o WHERE o.id = g.objective_id;
ALTER TABLE bw_goal FORCE ROW LEVEL SECURITY;
SET CONSTRAINTS ALL IMMEDIATE;
"""
PERIODS = [("month", "Month"), ("quarter", "Quarter"), ("year", "Year"), ("custom", "Custom")]


class Migration(migrations.Migration):
    dependencies = [("bellwether_kpis", "0006_segments")]

    operations = [
        migrations.CreateModel(
            name="Objective",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=200)),
                ("owner", models.CharField(blank=True, default="", max_length=200)),
                ("note", models.TextField(blank=True, default="")),
                ("period", models.CharField(choices=PERIODS, default="quarter", max_length=10)),
                ("first", models.DateField()),
                ("end", models.DateField(help_text="the day after the last one")),
                ("is_archived", models.BooleanField(default=False)),
                ("created_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("frozen_at", models.DateTimeField(editable=False, null=True)),
                ("frozen_progress", models.DecimalField(decimal_places=10, editable=False, max_digits=12, null=True)),
                ("frozen_status", models.CharField(blank=True, default="", editable=False, max_length=10)),
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
            options={"db_table": "bw_objective"},
        ),
        migrations.AddConstraint(
            model_name="objective",
            constraint=models.CheckConstraint(
                condition=models.Q(("end__gt", models.F("first"))), name="bw_objective_lasts"
            ),
        ),
        migrations.AddConstraint(
            model_name="objective",
            constraint=models.UniqueConstraint(
                models.F("tenant"),
                django.db.models.functions.text.Lower("name"),
                condition=models.Q(("frozen_at__isnull", True), ("is_archived", False)),
                name="bw_objective_name",
            ),
        ),
        migrations.RenameField("goal", "objective", "objective_name"),
        migrations.AddField(
            model_name="goal",
            name="objective",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="goals",
                to="bellwether_kpis.objective",
            ),
        ),
        migrations.RunSQL(MOVE, BACK),
        migrations.RemoveField("goal", "objective_name"),
        EnableRLS("bw_objective"),
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON bw_objective TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
