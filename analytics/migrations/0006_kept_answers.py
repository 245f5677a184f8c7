"""Answers of requests with an Idempotency-Key, kept for a day."""

from django.db import migrations, models

import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

rights = [
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON bw_idempotent_answer TO {APP}, {ERASURE}",
    f"GRANT USAGE ON SEQUENCE bw_idempotent_answer_id_seq TO {APP}, {ERASURE}",
]


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0005_operation")]

    operations = [
        migrations.CreateModel(
            name="IdempotentAnswer",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("actor", models.TextField()),
                ("key", models.CharField(max_length=64)),
                ("request", models.CharField(max_length=64)),
                ("status", models.SmallIntegerField(null=True)),
                ("answer", models.BinaryField(default=b"")),
                ("created_at", models.DateTimeField()),
                ("tenant", analytics.models.base.TenantForeignKey()),
            ],
            options={"db_table": "bw_idempotent_answer", "verbose_name": "kept answer"},
        ),
        migrations.AddConstraint(
            "IdempotentAnswer",
            models.UniqueConstraint(fields=["tenant", "actor", "key"], name="bw_idempotent_answer_once"),
        ),
        migrations.AddIndex(
            "IdempotentAnswer", models.Index(fields=["tenant", "created_at"], name="bw_idempotent_answer_age")
        ),
        EnableRLS("bw_idempotent_answer"),
        migrations.RunSQL(tuple(rights), migrations.RunSQL.noop),
    ]
