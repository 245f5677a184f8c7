"""Boards and share links, behind the walls of their tenants."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

TABLES = ("bw_board", "bw_share_link")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("bellwether_analytics", "0002_storage"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Board",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("title", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True, default="")),
                (
                    "visibility",
                    models.CharField(choices=[("private", "Private"), ("team", "Team")], default="team", max_length=10),
                ),
                ("document", models.JSONField(default=dict)),
                ("version", models.IntegerField(default=1)),
                ("changed_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
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
                "db_table": "bw_board",
            },
        ),
        migrations.CreateModel(
            name="ShareLink",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=100)),
                ("password", models.CharField(blank=True, default="", editable=False, max_length=200)),
                ("is_range_locked", models.BooleanField(default=True)),
                ("embed_origins", models.JSONField(blank=True, default=list)),
                ("created_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("opened", models.IntegerField(default=0)),
                (
                    "board",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="links", to="bellwether_reports.board"
                    ),
                ),
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
                "db_table": "bw_share_link",
            },
        ),
        migrations.AddIndex(
            model_name="board",
            index=models.Index(fields=["tenant", "title"], name="bw_board_title"),
        ),
        migrations.AddIndex(
            model_name="sharelink",
            index=models.Index(fields=["tenant", "board"], name="bw_share_link_board"),
        ),
        *[EnableRLS(table) for table in TABLES],
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {APP}, {ERASURE}", migrations.RunSQL.noop
        ),
    ]
