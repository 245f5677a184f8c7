"""Partitions and composite keys that Django cannot say, row-level security, and the functions that cross tenants."""

from __future__ import annotations

from django.db import migrations

from analytics.rls import APP, ERASURE, INGEST, OWNER, EnableRLS, grant_ingest, guard

KEY_PARTITIONS = 8
COMPOSITE = {"bw_subject": "id", "bw_identity": "digest", "bw_suppression": "digest"}
TENANT_TABLES = (
    "bw_calendar",
    "bw_membership",
    "bw_event",
    "bw_event_key",
    "bw_outcome",
    "bw_quarantine",
    "bw_exchange_rate",
    "bw_outbox",
    "bw_subject",
    "bw_identity",
    "bw_identity_edge",
    "bw_profile",
    "bw_group",
    "bw_session",
    "bw_suppression",
)
CONTROL = {"bw_calendar", "bw_membership", "bw_outbox"}

composite_keys = [
    f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (tenant_id, {key})"
    for table, key in COMPOSITE.items()
]

partition_events = [
    "ALTER TABLE bw_event RENAME TO bw_event_plain",
    "CREATE TABLE bw_event (LIKE bw_event_plain INCLUDING DEFAULTS) PARTITION BY RANGE (ts)",
    "DROP TABLE bw_event_plain",
    "ALTER TABLE bw_event ADD PRIMARY KEY (id, ts)",
    "CREATE INDEX bw_event_time ON bw_event (tenant_id, ts, id)",
    "CREATE INDEX bw_event_subject ON bw_event (tenant_id, subject_id, ts)",
    "CREATE TABLE bw_event_default PARTITION OF bw_event DEFAULT",
]

partition_keys = [
    "ALTER TABLE bw_event_key RENAME TO bw_event_key_plain",
    "CREATE TABLE bw_event_key (LIKE bw_event_key_plain INCLUDING DEFAULTS) PARTITION BY HASH (key)",
    "DROP TABLE bw_event_key_plain",
    "ALTER TABLE bw_event_key ADD PRIMARY KEY (tenant_id, key)",
    *[
        f"CREATE TABLE bw_event_key_{part} PARTITION OF bw_event_key "
        f"FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {part})"
        for part in range(KEY_PARTITIONS)
    ],
]


def _partition_guard(table: str) -> list[str]:
    return [*guard(table), f"REVOKE ALL ON {table} FROM PUBLIC, {APP}, {INGEST}, {ERASURE}"]


guards = [
    *[statement for part in range(KEY_PARTITIONS) for statement in _partition_guard(f"bw_event_key_{part}")],
    *_partition_guard("bw_event_default"),
]

# What the ingest role needs, and no more: it never reads events.
ingest = [
    *grant_ingest("bw_event", reads=False),
    *grant_ingest("bw_event_key", reads=True),
    *grant_ingest("bw_identity", reads=True),
    *grant_ingest("bw_subject", reads=True),
    *grant_ingest("bw_identity_edge", reads=True),
    *grant_ingest("bw_profile", reads=True),
    *grant_ingest("bw_group", reads=True),
    *grant_ingest("bw_suppression", reads=True, writes=False),
    *grant_ingest("bw_exchange_rate", reads=True, writes=False),
    *grant_ingest("bw_tenant", reads=True, writes=False),
    *grant_ingest("bw_quarantine", reads=True),
    *grant_ingest("bw_outcome", reads=False),
    *grant_ingest("bw_dirty_mark", reads=False),
    *grant_ingest("bw_outbox", reads=False),
    *[
        f"CREATE POLICY ingest_update ON {table} FOR UPDATE TO {INGEST} USING (true) WITH CHECK (true)"
        for table in ("bw_subject", "bw_identity_edge", "bw_profile", "bw_group")
    ],
    f"GRANT INSERT ON bw_event, bw_outcome, bw_dirty_mark, bw_outbox, bw_quarantine TO {INGEST}",
    f"GRANT SELECT, INSERT ON bw_event_key, bw_identity TO {INGEST}",
    f"GRANT SELECT, INSERT, UPDATE ON bw_subject, bw_identity_edge, bw_profile, bw_group TO {INGEST}",
    f"GRANT SELECT ON bw_suppression, bw_exchange_rate TO {INGEST}",
    f"GRANT SELECT (id, slug, zone, base_currency, week_start, settings) ON bw_tenant TO {INGEST}",
    f"GRANT SELECT (id, tenant_id, event_id, payload_hash, outcome, reason, state) ON bw_quarantine TO {INGEST}",
    "DO $$ DECLARE s text; BEGIN FOR s IN SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relname LIKE 'bw\\_%' "
    f"LOOP EXECUTE 'GRANT USAGE ON SEQUENCE ' || s || ' TO {APP}, {INGEST}, {ERASURE}'; END LOOP; END $$",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TENANT_TABLES)}, bw_tenant, bw_api_key, bw_job, "
    f"bw_due_period, bw_dirty_mark TO {APP}, {ERASURE}",
]

DEFINER = "LANGUAGE {language} SECURITY DEFINER SET search_path = public, pg_temp"
SQL, STABLE, PLPGSQL = (
    DEFINER.format(language="sql"),
    DEFINER.format(language="sql") + " STABLE",
    DEFINER.format(language="plpgsql"),
)

# name and argument types → (roles that may call it, definition). These are all the ways across tenants.
FUNCTIONS: dict[str, tuple[str, str]] = {
    "bw_tenants()": (
        f"{APP}, {INGEST}, {ERASURE}",
        f"RETURNS SETOF bw_tenant {STABLE} AS $$ SELECT * FROM bw_tenant $$",
    ),
    "bw_tenant_by_slug(p_slug text)": (
        f"{APP}, {INGEST}, {ERASURE}",
        f"RETURNS SETOF bw_tenant {STABLE} AS $$ SELECT * FROM bw_tenant WHERE slug = p_slug $$",
    ),
    "bw_tenant_create(p_slug text, p_name text, p_zone text, p_currency text, p_week_start int)": (
        APP,
        f"""RETURNS int {PLPGSQL} AS $$
        DECLARE new_id int;
        BEGIN
            INSERT INTO bw_tenant (slug, name, zone, base_currency, week_start, settings, created_at)
            VALUES (p_slug, p_name, p_zone, p_currency, p_week_start, '{{}}', now()) RETURNING id INTO new_id;
            INSERT INTO bw_calendar (tenant_id, version, zone, base_currency, week_start, state, created_at)
            VALUES (new_id, 1, p_zone, p_currency, p_week_start, 'live', now());
            EXECUTE format('CREATE SEQUENCE bw_subject_seq_%s AS int', new_id);
            EXECUTE format('GRANT USAGE ON SEQUENCE bw_subject_seq_%s TO {APP}, {INGEST}, {ERASURE}', new_id);
            RETURN new_id;
        END $$""",
    ),
    "bw_memberships(p_user int)": (
        APP,
        f"""RETURNS TABLE (tenant_id int, slug text, name text, role text) {STABLE} AS $$
        SELECT t.id, t.slug, t.name, m.role FROM bw_membership m JOIN bw_tenant t ON t.id = m.tenant_id
         WHERE m.user_id = p_user ORDER BY t.slug $$""",
    ),
    "bw_api_key_lookup(p_digest bytea)": (
        f"{APP}, {INGEST}",
        f"""RETURNS TABLE (key_id uuid, kind text, scopes text[], expires_at timestamptz, revoked_at timestamptz,
                           tenant_id int, slug text, zone text, base_currency text, week_start smallint,
                           settings jsonb) {STABLE} AS $$
        SELECT k.id, k.kind, k.scopes::text[], k.expires_at, k.revoked_at,
               t.id, t.slug, t.zone, t.base_currency, t.week_start, t.settings
          FROM bw_api_key k JOIN bw_tenant t ON t.id = k.tenant_id WHERE k.digest = p_digest $$""",
    ),
    "bw_api_key_touch(p_keys uuid[], p_at timestamptz)": (
        f"{APP}, {INGEST}",
        f"""RETURNS void {SQL} AS $$
        UPDATE bw_api_key SET last_used_at = p_at
         WHERE id = ANY (p_keys) AND (last_used_at IS NULL OR last_used_at < p_at) $$""",
    ),
    "bw_job_claim(p_kinds text[], p_id uuid, p_lease_seconds int, p_now timestamptz)": (
        APP,
        f"""RETURNS SETOF bw_job {PLPGSQL} AS $$
        BEGIN
            UPDATE bw_job SET state = 'failed', finished_at = p_now, lease_token = NULL,
                              error = CASE WHEN error = '' THEN 'The worker died too often.' ELSE error END
             WHERE state = 'running' AND lease_until < p_now AND attempts >= max_attempts;
            RETURN QUERY
            UPDATE bw_job SET state = 'running', lease_token = gen_random_uuid(), attempts = attempts + 1,
                              lease_until = p_now + make_interval(secs => p_lease_seconds),
                              started_at = coalesce(started_at, p_now)
             WHERE id = (SELECT j.id FROM bw_job j
                          WHERE (p_id IS NULL OR j.id = p_id)
                            AND (p_kinds IS NULL OR j.kind = ANY (p_kinds))
                            AND ((j.state = 'queued' AND j.run_at <= p_now)
                                 OR (j.state = 'running' AND j.lease_until < p_now))
                          ORDER BY j.run_at, j.id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING *;
        END $$""",
    ),
    "bw_jobs_ringable(p_now timestamptz, p_limit int)": (
        APP,
        f"""RETURNS TABLE (id uuid, kind text) {STABLE} AS $$
        SELECT j.id, j.kind FROM bw_job j
         WHERE (j.state = 'queued' AND j.run_at <= p_now) OR (j.state = 'running' AND j.lease_until < p_now)
         ORDER BY j.run_at, j.id LIMIT p_limit $$""",
    ),
    "bw_dirty_tenants()": (
        APP,
        f"""RETURNS TABLE (tenant_id int, marks bigint, oldest timestamptz) {STABLE} AS $$
        SELECT d.tenant_id, count(*), min(d.created_at) FROM bw_dirty_mark d GROUP BY d.tenant_id $$""",
    ),
    "bw_outbox_tenants(p_now timestamptz)": (
        APP,
        f"""RETURNS TABLE (tenant_id int, waiting bigint) {STABLE} AS $$
        SELECT o.tenant_id, count(*) FROM bw_outbox o
         WHERE o.state = 'waiting' AND o.next_at <= p_now GROUP BY o.tenant_id $$""",
    ),
    "bw_partition_ensure(p_month date)": (
        APP,
        f"""RETURNS boolean {PLPGSQL} AS $$
        DECLARE
            first timestamptz := date_trunc('month', p_month)::timestamp AT TIME ZONE 'UTC';
            next timestamptz := (date_trunc('month', p_month) + interval '1 month')::timestamp AT TIME ZONE 'UTC';
            part text := 'bw_event_' || to_char(p_month, 'YYYYMM');
            before text := coalesce(current_setting('app.tenant', true), '');
            t int;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('bw_partition_ensure'));
            IF to_regclass('public.' || part) IS NOT NULL THEN RETURN false; END IF;
            EXECUTE format('CREATE TABLE %I (LIKE bw_event INCLUDING ALL)', part);
            -- A month cannot be attached while the default partition holds its rows.
            LOCK TABLE bw_event_default IN ACCESS EXCLUSIVE MODE;
            FOR t IN SELECT id FROM bw_tenant LOOP
                PERFORM set_config('app.tenant', t::text, true);
                EXECUTE format('INSERT INTO %I SELECT * FROM bw_event_default WHERE ts >= $1 AND ts < $2', part)
                  USING first, next;
                DELETE FROM bw_event_default WHERE ts >= first AND ts < next;
            END LOOP;
            PERFORM set_config('app.tenant', before, true);
            EXECUTE format('ALTER TABLE bw_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, first, next);
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
            EXECUTE format($policy$CREATE POLICY tenant ON %I FOR ALL TO PUBLIC
                USING (tenant_id = (select nullif(current_setting('app.tenant', true), '')::int))
                WITH CHECK (tenant_id = (select nullif(current_setting('app.tenant', true), '')::int))$policy$, part);
            EXECUTE format('REVOKE ALL ON %I FROM PUBLIC, {APP}, {INGEST}, {ERASURE}', part);
            RETURN true;
        END $$""",
    ),
    "bw_partition_detach(p_month date)": (
        APP,
        f"""RETURNS boolean {PLPGSQL} AS $$
        DECLARE part text := 'bw_event_' || to_char(p_month, 'YYYYMM');
        BEGIN
            IF to_regclass('public.' || part) IS NULL THEN RETURN false; END IF;
            EXECUTE format('ALTER TABLE bw_event DETACH PARTITION %I', part);
            EXECUTE format('ALTER TABLE %I RENAME TO %I', part, part || '_detached');
            RETURN true;
        END $$""",
    ),
    "bw_statistics_refresh()": (
        APP,
        f"""RETURNS void {PLPGSQL} AS $$
        BEGIN
            ANALYZE bw_event, bw_event_key, bw_subject, bw_identity, bw_session, bw_dirty_mark;
        END $$""",
    ),
    "bw_partitions()": (
        APP,
        f"""RETURNS TABLE (name text, bounds text, bytes bigint, estimate bigint) {STABLE} AS $$
        SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid), pg_total_relation_size(c.oid), c.reltuples::bigint
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'bw_event'::regclass ORDER BY c.relname $$""",
    ),
}

functions = [
    statement
    for signature, (roles, body) in FUNCTIONS.items()
    for statement in (
        f"CREATE FUNCTION {signature} {body}",
        f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {signature} TO {roles}",
    )
]
drop_functions = [f"DROP FUNCTION IF EXISTS {signature}" for signature in FUNCTIONS]
require_owner = [
    f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}') THEN RAISE EXCEPTION "
    "'Run `manage.py setup_roles` first: the database roles of Bellwether are missing.'; END IF; END $$"
]


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0001_initial")]

    operations = [
        migrations.RunSQL(tuple(require_owner), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(composite_keys), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(partition_events), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(partition_keys), migrations.RunSQL.noop),
        EnableRLS("bw_tenant", column="id", control=True),
        EnableRLS("bw_api_key", control=True),
        EnableRLS("bw_dirty_mark", control=True),
        EnableRLS("bw_job", platform=True, control=True),
        EnableRLS("bw_due_period", platform=True, control=True),
        *[EnableRLS(table, control=table in CONTROL) for table in TENANT_TABLES],
        migrations.RunSQL(tuple(guards), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(ingest), migrations.RunSQL.noop),
        migrations.RunSQL(tuple(functions), tuple(drop_functions)),
    ]
