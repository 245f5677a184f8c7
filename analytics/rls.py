"""Row-level security: the SQL that guards a table, migration operations for it, and the check of the roles at start.

Every table of a tenant is guarded by the same policy. With no tenant set, it shows no rows and takes none.
"""

from __future__ import annotations

from django.db import connections
from django.db.migrations.operations.special import RunSQL

OWNER, APP, INGEST, ERASURE = "bellwether_owner", "bellwether_app", "bellwether_ingest", "bellwether_erasure"

# A setting that was local to a finished transaction reads as '' and not as NULL; both mean "no tenant".
TENANT = "(select nullif(current_setting('app.tenant', true), '')::int)"
PLATFORM = "(select coalesce(current_setting('app.platform', true), '') = 'on')"


def guard(table: str, *, column: str = "tenant_id", platform: bool = False, control: bool = False) -> list[str]:
    """SQL that enables and forces row-level security on `table`.

    `platform`: rows without a tenant are visible in a platform context. `control`: definer functions, which run as
    the owner, may read and write across tenants.
    """
    rule = f"{column} = {TENANT}"
    if platform:
        rule = f"({rule} OR ({column} IS NULL AND {PLATFORM}))"
    statements = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} FOR ALL TO PUBLIC USING ({rule}) WITH CHECK ({rule})",
    ]
    if control:
        statements.append(f"CREATE POLICY control ON {table} FOR ALL TO {OWNER} USING (true) WITH CHECK (true)")
    return statements


def grant_ingest(table: str, *, reads: bool, writes: bool = True) -> list[str]:
    """SQL that lets the ingest role work on `table` for the tenants of verified keys, several in one batch."""
    statements = []
    if writes:
        statements.append(f"CREATE POLICY ingest_write ON {table} FOR INSERT TO {INGEST} WITH CHECK (true)")
    if reads:
        statements.append(f"CREATE POLICY ingest_read ON {table} FOR SELECT TO {INGEST} USING (true)")
    return statements


def unguard(table: str) -> list[str]:
    """SQL that takes every policy off again (for reversing a migration)."""
    drops = [
        f"DROP POLICY IF EXISTS {name} ON {table}" for name in ("tenant", "control", "ingest_write", "ingest_read")
    ]
    return [
        *drops,
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    ]


class EnableRLS(RunSQL):
    """Migration operation: guards one table of a tenant."""

    def __init__(self, table: str, *, column: str = "tenant_id", platform: bool = False, control: bool = False) -> None:
        super().__init__(
            sql=tuple(guard(table, column=column, platform=platform, control=control)),
            reverse_sql=tuple(unguard(table)),
        )


def role_problems(using: str = "default") -> list[str]:
    """Why the role of connection `using` would not be bound by row-level security; empty when it is.

    Raises django.db.OperationalError when the database cannot be reached.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            """
            SELECT current_user,
                   r.rolsuper,
                   r.rolbypassrls,
                   EXISTS (SELECT 1 FROM pg_class c
                            WHERE c.relname LIKE 'bw\\_%%' AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
                              AND pg_has_role(current_user, c.relowner, 'MEMBER')),
                   EXISTS (SELECT 1 FROM pg_roles o
                            WHERE (o.rolsuper OR o.rolbypassrls) AND o.rolname <> current_user
                              AND pg_has_role(current_user, o.oid, 'MEMBER'))
              FROM pg_roles r WHERE r.rolname = current_user
            """
        )
        name, is_super, bypasses, owns, climbs = cursor.fetchone()
    claims = [
        (is_super, "is a superuser"),
        (bypasses, "has BYPASSRLS"),
        (owns, "owns (or may become the owner of) Bellwether's tables"),
        (climbs, "is a member of a role that is not bound by row-level security"),
    ]
    return [f"database role {name!r} ({using}) {text}" for is_true, text in claims if is_true]
