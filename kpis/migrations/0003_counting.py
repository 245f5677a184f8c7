"""One call for the state of a tenant's counting: a plain statement would be planned anew for each question, over every
partition, which costs more than running it. A PL/pgSQL function keeps its plans, behind any connection pooler."""

from __future__ import annotations

from django.db import migrations

from analytics.rls import APP, ERASURE

# SECURITY INVOKER, so that row-level security decides what it sees.
CREATE = """
CREATE FUNCTION bw_counting(p_tenant int)
RETURNS TABLE (calendar_id int, zone text, week_start int, base_currency text, first_day timestamptz,
               oldest timestamptz, newest timestamptz, has_people bool, last_at timestamptz, last_source text)
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE last_day timestamptz;
BEGIN
    SELECT c.id, c.zone, c.week_start, c.base_currency INTO calendar_id, zone, week_start, base_currency
      FROM bw_calendar c WHERE c.tenant_id = p_tenant AND c.state = 'live';
    IF NOT FOUND THEN RETURN; END IF;
    SELECT min(b.start), max(b.start) INTO first_day, last_day FROM bw_bucket b
     WHERE b.tenant_id = p_tenant AND b.calendar_id = bw_counting.calendar_id AND b.measure = 'events.count'
       AND b.dimension = '' AND b.grain = 3;
    SELECT min(d.minute), max(d.minute), bool_or(d.minute IS NULL) INTO oldest, newest, has_people
      FROM bw_dirty_mark d WHERE d.tenant_id = p_tenant;
    SELECT e.ts, e.source INTO last_at, last_source FROM bw_event e
     WHERE e.tenant_id = p_tenant AND e.ts >= coalesce(last_day, '-infinity') ORDER BY e.ts DESC LIMIT 1;
    RETURN NEXT;
END $$"""

statements = (
    CREATE,
    "REVOKE ALL ON FUNCTION bw_counting(int) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION bw_counting(int) TO {APP}, {ERASURE}",
)


class Migration(migrations.Migration):
    dependencies = [
        ("bellwether_kpis", "0002_row_level_security"),
        ("bellwether_analytics", "0002_storage"),
    ]

    operations = [migrations.RunSQL(statements, "DROP FUNCTION bw_counting(int)")]
