"""How long a tenant keeps its events, from when on they are all there, and how months that nobody keeps are let go."""

from __future__ import annotations

from importlib import import_module

import django.core.validators
from django.db import migrations, models

import analytics.models.base
from analytics.rls import APP, ERASURE, INGEST, EnableRLS

_storage = import_module("analytics.migrations.0002_storage")
DETACH = "bw_partition_detach(p_month date)"
FORMER_DETACH = _storage.FUNCTIONS[DETACH][1]

# A month is past when every tenant has said that it keeps no event of it. Detached ones wait to be dropped.
PAST = """RETURNS TABLE (month date, is_attached boolean) LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp STABLE AS $$
    SELECT to_date(substr(c.relname, 10, 6), 'YYYYMM'), c.relispartition FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
       AND (c.relname ~ '^bw_event_[0-9]{6}_detached$' AND NOT c.relispartition
            OR c.relname ~ '^bw_event_[0-9]{6}$' AND c.relispartition
               AND (to_date(substr(c.relname, 10, 6), 'YYYYMM') + interval '1 month')::timestamp AT TIME ZONE 'UTC'
                   <= (SELECT min(coalesce(t.events_gone_before, '-infinity')) FROM bw_tenant t))
     ORDER BY 1, 2 $$"""

# The wall: whatever the application asks for, a month is detached only when no tenant keeps any of it.
GUARDED_DETACH = """RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            part text := 'bw_event_' || to_char(p_month, 'YYYYMM');
            next timestamptz := (date_trunc('month', p_month) + interval '1 month')::timestamp AT TIME ZONE 'UTC';
        BEGIN
            IF to_regclass('public.' || part) IS NULL THEN RETURN false; END IF;
            IF NOT EXISTS (SELECT 1 FROM bw_tenant)
               OR EXISTS (SELECT 1 FROM bw_tenant WHERE events_gone_before IS NULL OR events_gone_before < next) THEN
                RAISE EXCEPTION 'events of % are still kept by a tenant', to_char(p_month, 'YYYY-MM');
            END IF;
            PERFORM pg_advisory_xact_lock(hashtext('bw_partition_ensure'));
            -- Writers wait behind this lock, so it is not waited for long.
            PERFORM set_config('lock_timeout', '3s', true);
            EXECUTE format('ALTER TABLE bw_event DETACH PARTITION %I', part);
            EXECUTE format('ALTER TABLE %I RENAME TO %I', part, part || '_detached');
            RETURN true;
        END $$"""

DROP = """RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE part text := 'bw_event_' || to_char(p_month, 'YYYYMM') || '_detached';
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = to_regclass('public.' || part)
                              AND NOT c.relispartition) THEN RETURN false; END IF;
            EXECUTE format('DROP TABLE %I', part);
            RETURN true;
        END $$"""

NEW = {"bw_partitions_past()": PAST, "bw_partition_drop(p_month date)": DROP}
functions = [
    f"CREATE OR REPLACE FUNCTION {DETACH} {GUARDED_DETACH}",
    *[
        statement
        for signature, body in NEW.items()
        for statement in (
            f"CREATE FUNCTION {signature} {body}",
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO {APP}",
        )
    ],
]
former_functions = [
    f"CREATE OR REPLACE FUNCTION {DETACH} {FORMER_DETACH}",
    *[f"DROP FUNCTION IF EXISTS {signature}" for signature in NEW],
]
rights = [
    f"GRANT SELECT (events_kept_from) ON bw_tenant TO {INGEST}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON bw_event_retention TO {APP}, {ERASURE}",
    f"GRANT USAGE ON SEQUENCE bw_event_retention_id_seq TO {APP}, {ERASURE}",
]
days = [django.core.validators.MinValueValidator(7), django.core.validators.MaxValueValidator(36500)]


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0006_kept_answers")]

    operations = [
        migrations.AddField(
            "Tenant",
            "retention_days",
            models.PositiveIntegerField(
                blank=True,
                help_text="Events of days older than this are deleted; empty: as long as the platform keeps them. "
                "Numbers that were counted stay.",
                null=True,
                validators=days,
                verbose_name="days that events are kept",
            ),
        ),
        migrations.AddField(
            "Tenant",
            "events_gone_before",
            models.DateTimeField(
                blank=True, editable=False, help_text="No event before this instant is kept.", null=True
            ),
        ),
        migrations.AddField(
            "Tenant",
            "events_kept_from",
            models.DateTimeField(
                blank=True,
                editable=False,
                help_text="All events from this instant on are kept; numbers of hours before it stay as they were "
                "counted.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="EventRetention",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200, verbose_name="event")),
                ("days", models.PositiveIntegerField(validators=days, verbose_name="days that it is kept")),
                (
                    "gone_before",
                    models.DateTimeField(
                        blank=True, editable=False, help_text="No event of the name before this is kept.", null=True
                    ),
                ),
                ("tenant", analytics.models.base.TenantForeignKey()),
            ],
            options={
                "db_table": "bw_event_retention",
                "verbose_name": "retention of an event",
                "verbose_name_plural": "retention of events",
            },
        ),
        migrations.AddConstraint(
            "EventRetention",
            models.UniqueConstraint(fields=["tenant", "name"], name="bw_event_retention_once"),
        ),
        EnableRLS("bw_event_retention"),
        migrations.RunSQL(tuple(rights), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(functions), tuple(former_functions)),
    ]
