"""The audit trail: rows can be added and read, and nothing else, by whichever role the product runs."""

from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, INGEST, EnableRLS

rights = (
    f"REVOKE ALL ON bw_audit_entry FROM {APP}, {ERASURE}, {INGEST}",
    f"GRANT SELECT, INSERT ON bw_audit_entry TO {APP}, {ERASURE}",
)


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0007_retention")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField()),
                ("actor", models.TextField(help_text="user:<number>, key:<id>, or command")),
                ("action", models.TextField(help_text="key.added, retention.changed …")),
                ("what", models.TextField(blank=True, default="", help_text="which one")),
                (
                    "detail",
                    models.JSONField(
                        blank=True, default=dict, help_text="what it was made to be, and what it was before"
                    ),
                ),
                ("tenant", analytics.models.base.TenantForeignKey(db_constraint=False)),
            ],
            options={
                "db_table": "bw_audit_entry",
                "verbose_name": "change",
                "verbose_name_plural": "audit trail",
            },
        ),
        migrations.AddIndex("AuditEntry", models.Index(fields=["tenant", "at", "id"], name="bw_audit_entry_at")),
        EnableRLS("bw_audit_entry"),
        migrations.RunSQL(rights, migrations.RunSQL.noop),
    ]
