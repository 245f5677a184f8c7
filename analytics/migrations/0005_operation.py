"""What tenants choose of the schedule, the request that a job goes back to, and the figures of the whole installation."""

import django.utils.timezone
from django.db import migrations, models

import analytics.models.base
from analytics.rls import APP, ERASURE, EnableRLS

# Counts of everybody together, for metrics and checks: no name and no number of a tenant leaves it.
FIGURES = """RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before text := coalesce(current_setting('app.tenant', true), '');
    t int;
    part jsonb;
    outcomes jsonb := '{}';
    active int := 0;
    held bigint := 0;
    n bigint;
    o record;
BEGIN
    FOR t IN SELECT id FROM bw_tenant LOOP
        PERFORM set_config('app.tenant', t::text, true);
        n := 0;
        FOR o IN SELECT outcome, sum(b.n)::bigint AS n FROM bw_outcome b
                  WHERE tenant_id = t AND hour >= date_trunc('hour', p_now, 'UTC') - interval '24 hours'
                  GROUP BY outcome LOOP
            outcomes := outcomes || jsonb_build_object(o.outcome, coalesce((outcomes->>o.outcome)::bigint, 0) + o.n);
            n := n + o.n;
        END LOOP;
        active := active + (n > 0)::int;
        held := held + (SELECT count(*) FROM (
            SELECT 1 FROM bw_quarantine WHERE tenant_id = t AND state = 'held' LIMIT 100000) q);
    END LOOP;
    PERFORM set_config('app.tenant', before, true);
    RETURN jsonb_build_object(
        'tenants', (SELECT count(*) FROM bw_tenant),
        'active_tenants', active,
        'outcomes', outcomes,
        'quarantined', held,
        'dirty_marks', (SELECT count(*) FROM bw_dirty_mark),
        'dirty_seconds', (SELECT coalesce(extract(epoch FROM p_now - min(created_at)), 0) FROM bw_dirty_mark),
        'jobs', (SELECT coalesce(jsonb_object_agg(state, c), '{}') FROM (
            SELECT state, count(*) AS c FROM bw_job GROUP BY state) j),
        'jobs_late', (SELECT count(*) FROM bw_job WHERE state = 'queued' AND run_at < p_now - interval '5 minutes'),
        'jobs_stuck', (SELECT count(*) FROM bw_job WHERE state = 'running' AND lease_until < p_now - interval '1 minute'),
        'jobs_failed', (SELECT count(*) FROM bw_job WHERE state = 'failed' AND finished_at > p_now - interval '24 hours')
    );
END $$"""
SIGNATURE = "bw_platform_figures(p_now timestamptz)"
function = [
    f"CREATE FUNCTION {SIGNATURE} {FIGURES}",
    f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {APP}",
]
rights = [
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON bw_schedule_choice TO {APP}, {ERASURE}",
    f"GRANT USAGE ON SEQUENCE bw_schedule_choice_id_seq TO {APP}, {ERASURE}",
]


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0004_lake")]

    operations = [
        migrations.CreateModel(
            name="ScheduleChoice",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("schedule", models.TextField()),
                ("is_paused", models.BooleanField(default=False)),
                ("at", models.TimeField(blank=True, help_text="local time of the tenant", null=True)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_by", models.TextField(blank=True, default="")),
                ("tenant", analytics.models.base.TenantForeignKey()),
            ],
            options={
                "db_table": "bw_schedule_choice",
                "verbose_name": "choice of a schedule",
                "verbose_name_plural": "choices of schedules",
            },
        ),
        migrations.AddConstraint(
            "ScheduleChoice",
            models.UniqueConstraint(fields=["tenant", "schedule"], name="bw_schedule_choice_once"),
        ),
        migrations.AddField(
            "Job", "request_id", models.CharField(blank=True, default="", editable=False, max_length=64)
        ),
        EnableRLS("bw_schedule_choice"),
        migrations.RunSQL(tuple(rights), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(function), f"DROP FUNCTION IF EXISTS {SIGNATURE}"),
    ]
