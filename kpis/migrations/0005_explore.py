"""Channel rules, marketing costs, and who looked at people."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

TABLES = ("bw_channel_rule", "bw_marketing_cost", "bw_people_read")


class Migration(migrations.Migration):
    dependencies = [
        ("bellwether_analytics", "0002_storage"),
        ("bellwether_kpis", "0004_goals"),
    ]

    operations = [
        migrations.CreateModel(
            name="ChannelRule",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("place", models.PositiveIntegerField(help_text="rules are tried in this order")),
                ("channel", models.CharField(max_length=60)),
                ("source", models.CharField(blank=True, default="", max_length=1000)),
                ("medium", models.CharField(blank=True, default="", max_length=1000)),
                ("campaign", models.CharField(blank=True, default="", max_length=1000)),
                ("referrer", models.CharField(blank=True, default="", max_length=1000)),
                ("is_paid", models.BooleanField(default=False)),
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
                "db_table": "bw_channel_rule",
                "ordering": ["place", "id"],
                "indexes": [models.Index(fields=["tenant", "place"], name="bw_channel_rule_place")],
            },
        ),
        migrations.CreateModel(
            name="MarketingCost",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("channel", models.CharField(max_length=400)),
                ("campaign", models.CharField(blank=True, default="", max_length=400)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("amount_base", models.BigIntegerField(null=True)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
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
                "db_table": "bw_marketing_cost",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "day", "channel", "campaign", "currency"), name="bw_marketing_cost_once"
                    ),
                    models.CheckConstraint(condition=models.Q(("amount__gte", 0)), name="bw_marketing_cost_positive"),
                ],
            },
        ),
        migrations.CreateModel(
            name="PeopleRead",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("actor", models.TextField()),
                ("what", models.TextField(help_text="explore.funnel, timeline …")),
                ("question", models.JSONField(blank=True, default=dict)),
                ("people", models.IntegerField(help_text="how many were shown")),
                (
                    "tenant",
                    analytics.models.base.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="bellwether_analytics.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "reading of people",
                "verbose_name_plural": "readings of people",
                "db_table": "bw_people_read",
                "indexes": [models.Index(fields=["tenant", "at"], name="bw_people_read_at")],
            },
        ),
        *[EnableRLS(table) for table in TABLES],
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
