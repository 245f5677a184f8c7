"""Reads of tenants, memberships and keys."""

from __future__ import annotations

from typing import Final

import msgspec
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import OperationalError, connections

from analytics.access.keys import LOOKUP, KeyRow, KeysUnavailable, key_row
from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_info, tenants

PLACES: Final = """
SELECT t.id, t.slug, t.zone, t.base_currency, t.week_start, t.settings, m.role
  FROM bw_memberships(%s) m CROSS JOIN LATERAL bw_tenant_by_slug(m.slug) t
 ORDER BY t.slug
"""


class Place(msgspec.Struct, frozen=True):
    """A tenant that a person belongs to, and as what."""

    tenant: TenantInfo
    role: str


def places_of_user(user: AbstractBaseUser | AnonymousUser) -> list[Place]:
    """Tenants of a person by slug. The platform's superuser may look into all, as owner; its own come first."""
    if user.pk is None:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(PLACES, [user.pk])
        own = [Place(tenant_info(row[:-1]), row[-1]) for row in cursor.fetchall()]
    if not getattr(user, "is_superuser", False):
        return own
    known = {place.tenant.id for place in own}
    everybody = sorted(tenants(), key=lambda tenant: (tenant.id not in known, tenant.slug))
    return [Place(tenant, "owner") for tenant in everybody]


def api_key_lookup(digest: bytes) -> KeyRow | None:
    """The key of a digest, through Django's own connection."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(LOOKUP, [digest])
            row = cursor.fetchone()
    except OperationalError as error:
        raise KeysUnavailable(str(error)) from error
    return None if row is None else key_row(row)
