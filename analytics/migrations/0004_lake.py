"""The manifest of the lake and its marks. What is stored already is marked, so that the first seal takes it in."""

import django.utils.timezone
from django.db import migrations, models

import analytics.ids
import analytics.models.base
from analytics.rls import APP, ERASURE, INGEST, EnableRLS, grant_ingest

TABLES = ("bw_lake_piece", "bw_lake_mark")

# Doubled events are impossible by construction: no two live pieces of a tenant share an instant.
apart = [
    "ALTER TABLE bw_lake_piece ADD CONSTRAINT bw_lake_piece_apart EXCLUDE USING gist ("
    "int4range(tenant_id, tenant_id, '[]') WITH &&, tstzrange(start, \"end\") WITH &&) WHERE (retired_at IS NULL)"
]
rights = [
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {APP}, {ERASURE}",
    f"GRANT INSERT ON bw_lake_mark TO {INGEST}",
    *grant_ingest("bw_lake_mark", reads=False),
]
mark_everything = [
    """DO $$
    DECLARE t int; before text := coalesce(current_setting('app.tenant', true), '');
    BEGIN
        FOR t IN SELECT id FROM bw_tenant LOOP
            PERFORM set_config('app.tenant', t::text, true);
            INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
            SELECT DISTINCT t, date_trunc('hour', ts, 'UTC'), 'upgrade', now() FROM bw_event WHERE tenant_id = t;
        END LOOP;
        PERFORM set_config('app.tenant', before, true);
    END $$"""
]


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0003_patience")]

    operations = [
        migrations.CreateModel(
            name="LakePiece",
            fields=[
                (
                    "id",
                    models.UUIDField(default=analytics.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("rows", models.BigIntegerField()),
                ("path", models.TextField(help_text="of its files, without their endings")),
                ("files", models.JSONField(default=dict)),
                ("subjects", models.BinaryField()),
                ("version", models.SmallIntegerField()),
                ("sealed_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
                ("purge_at", models.DateTimeField(null=True)),
                ("tenant", analytics.models.base.TenantForeignKey(db_constraint=False)),
            ],
            options={"db_table": "bw_lake_piece"},
        ),
        migrations.CreateModel(
            name="LakeMark",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField(null=True)),
                ("subject_id", models.IntegerField(null=True)),
                ("reason", models.TextField(default="event")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("tenant", analytics.models.base.TenantForeignKey(db_constraint=False)),
            ],
            options={"db_table": "bw_lake_mark"},
        ),
        migrations.AddIndex(
            "LakePiece",
            models.Index(
                fields=["tenant", "start"], name="bw_lake_piece_live", condition=models.Q(retired_at__isnull=True)
            ),
        ),
        migrations.AddIndex(
            "LakePiece",
            models.Index(
                fields=["tenant", "purge_at"], name="bw_lake_piece_purge", condition=models.Q(purge_at__isnull=False)
            ),
        ),
        migrations.AddIndex("LakeMark", models.Index(fields=["tenant", "hour"], name="bw_lake_mark_hour")),
        migrations.RunSQL(tuple(apart), migrations.RunSQL.noop),
        *[EnableRLS(table) for table in TABLES],
        migrations.RunSQL(tuple(rights), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(mark_everything), migrations.RunSQL.noop),
    ]
