"""Goals, check-ins, annotations, and what moved published values."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

TABLES = ("bw_goal", "bw_check_in", "bw_annotation", "bw_restatement", "bw_rollup_check")


class Migration(migrations.Migration):
    dependencies = [
        ("bellwether_analytics", "0003_patience"),
        ("bellwether_kpis", "0003_counting"),
    ]

    operations = [
        migrations.CreateModel(
            name="Annotation",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("until", models.DateTimeField(blank=True, null=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("deploy", "Deploy"),
                            ("campaign", "Campaign"),
                            ("incident", "Incident"),
                            ("price", "Price"),
                            ("note", "Note"),
                        ],
                        default="note",
                        max_length=10,
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                ("text", models.TextField(blank=True, default="")),
                ("url", models.URLField(blank=True, default="", max_length=500)),
                (
                    "metric",
                    models.CharField(blank=True, default="", help_text="empty: shown on every chart", max_length=100),
                ),
                ("author", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "db_table": "bw_annotation",
            },
        ),
        migrations.CreateModel(
            name="CheckIn",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("author", models.CharField(blank=True, default="", max_length=200)),
                ("confidence", models.FloatField()),
                ("note", models.TextField(blank=True, default="")),
                ("probability", models.FloatField(null=True)),
                ("value", models.DecimalField(decimal_places=10, max_digits=40, null=True)),
            ],
            options={
                "db_table": "bw_check_in",
            },
        ),
        migrations.CreateModel(
            name="Goal",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=200)),
                ("metric", models.CharField(max_length=100)),
                (
                    "filters",
                    models.JSONField(
                        blank=True, default=list, help_text='[{"field": "country", "op": "eq", "value": "FR"}]'
                    ),
                ),
                ("owner", models.CharField(blank=True, default="", max_length=200)),
                (
                    "objective",
                    models.CharField(blank=True, default="", help_text="goals of one objective add up", max_length=200),
                ),
                ("weight", models.DecimalField(decimal_places=2, default=1, max_digits=6)),
                ("baseline", models.DecimalField(blank=True, decimal_places=6, max_digits=30, null=True)),
                ("target", models.DecimalField(decimal_places=6, max_digits=30)),
                ("stretch", models.DecimalField(blank=True, decimal_places=6, max_digits=30, null=True)),
                (
                    "period",
                    models.CharField(
                        choices=[("month", "Month"), ("quarter", "Quarter"), ("year", "Year"), ("custom", "Custom")],
                        default="month",
                        max_length=10,
                    ),
                ),
                ("first", models.DateField()),
                ("end", models.DateField(help_text="the day after the last one")),
                (
                    "shape",
                    models.CharField(
                        choices=[("step", "Step"), ("linear", "Linear"), ("seasonal", "Seasonal")],
                        default="linear",
                        max_length=10,
                    ),
                ),
                ("note", models.TextField(blank=True, default="")),
                ("is_archived", models.BooleanField(default=False)),
                ("created_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("frozen_at", models.DateTimeField(editable=False, null=True)),
                ("frozen_value", models.DecimalField(decimal_places=10, editable=False, max_digits=40, null=True)),
                ("frozen_status", models.CharField(blank=True, default="", editable=False, max_length=10)),
            ],
            options={
                "db_table": "bw_goal",
            },
        ),
        migrations.CreateModel(
            name="Restatement",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateTimeField(help_text="the start of the local day")),
                ("since", models.DateTimeField()),
                ("measure", models.TextField()),
                ("reason", models.TextField()),
                ("n", models.BigIntegerField()),
                ("total", models.DecimalField(decimal_places=6, default=0, max_digits=40)),
                ("minutes", models.IntegerField(default=0)),
                ("at", models.DateTimeField()),
            ],
            options={
                "db_table": "bw_restatement",
            },
        ),
        migrations.CreateModel(
            name="RollupCheck",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("differences", models.IntegerField()),
                ("samples", models.JSONField(default=list)),
                ("took_ms", models.IntegerField(default=0)),
                ("checked_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "db_table": "bw_rollup_check",
            },
        ),
        migrations.AddIndex(
            model_name="metricvalue",
            index=models.Index(fields=["tenant", "grain", "start", "computed_at"], name="bw_metric_value_day"),
        ),
        migrations.AddField(
            model_name="annotation",
            name="tenant",
            field=analytics.models.base.TenantForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bellwether_analytics.tenant",
            ),
        ),
        migrations.AddField(
            model_name="checkin",
            name="tenant",
            field=analytics.models.base.TenantForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bellwether_analytics.tenant",
            ),
        ),
        migrations.AddField(
            model_name="goal",
            name="tenant",
            field=analytics.models.base.TenantForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bellwether_analytics.tenant",
            ),
        ),
        migrations.AddField(
            model_name="checkin",
            name="goal",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="check_ins", to="bellwether_kpis.goal"
            ),
        ),
        migrations.AddField(
            model_name="restatement",
            name="tenant",
            field=analytics.models.base.TenantForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bellwether_analytics.tenant",
            ),
        ),
        migrations.AddField(
            model_name="rollupcheck",
            name="tenant",
            field=analytics.models.base.TenantForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="bellwether_analytics.tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="annotation",
            index=models.Index(fields=["tenant", "at"], name="bw_annotation_at"),
        ),
        migrations.AddConstraint(
            model_name="annotation",
            constraint=models.CheckConstraint(
                condition=models.Q(("until__isnull", True), ("until__gte", models.F("at")), _connector="OR"),
                name="bw_annotation_lasts",
            ),
        ),
        migrations.AddIndex(
            model_name="goal",
            index=models.Index(fields=["tenant", "metric", "first"], name="bw_goal_metric"),
        ),
        migrations.AddConstraint(
            model_name="goal",
            constraint=models.CheckConstraint(condition=models.Q(("end__gt", models.F("first"))), name="bw_goal_lasts"),
        ),
        migrations.AddConstraint(
            model_name="goal",
            constraint=models.CheckConstraint(condition=models.Q(("weight__gte", 0)), name="bw_goal_weight"),
        ),
        migrations.AddIndex(
            model_name="checkin",
            index=models.Index(fields=["tenant", "goal", "at"], name="bw_check_in_goal"),
        ),
        migrations.AddConstraint(
            model_name="checkin",
            constraint=models.CheckConstraint(
                condition=models.Q(("confidence__gte", 0), ("confidence__lte", 1)), name="bw_check_in_confidence"
            ),
        ),
        migrations.AddConstraint(
            model_name="restatement",
            constraint=models.UniqueConstraint(
                fields=("tenant", "day", "since", "measure", "reason"), name="bw_restatement_once"
            ),
        ),
        migrations.AddIndex(
            model_name="rollupcheck",
            index=models.Index(fields=["tenant", "checked_at"], name="bw_rollup_check_at"),
        ),
        *[EnableRLS(table) for table in TABLES],
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
