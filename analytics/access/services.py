"""Writes of tenants, memberships and keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.numbers import list_currencies
from django.contrib.auth.models import AbstractBaseUser
from django.db import connections, transaction
from django.utils import timezone

from analytics.access.keys import TOUCH, token_digest, token_mint, token_prefix
from analytics.access.roles import EVERY_SCOPE, PUBLISHABLE_SCOPES, SECRET_SCOPES
from analytics.audit import COMMAND, actor_of, audit_record
from analytics.models import ApiKey, Membership, Tenant
from analytics.tenancy import tenant_context

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
ROTATION_OVERLAP: Final = timedelta(hours=24)


class AccessError(ValueError):
    """A tenant, membership or key cannot be made like that; `field` says where and the text what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def tenant_create(*, slug: str, name: str, zone: str, base_currency: str, week_start: int = 0) -> Tenant:
    """Make a tenant with its first calendar. `week_start` counts from Monday = 0. Raises `AccessError`."""
    currency = base_currency.upper()
    _check_tenant(slug, name, zone, currency, week_start)
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM bw_tenant_by_slug(%s)", [slug])
        if cursor.fetchone():
            raise AccessError("slug", f"The slug {slug!r} is taken: choose another one.")
        cursor.execute("SELECT bw_tenant_create(%s, %s, %s, %s, %s)", [slug, name, zone, currency, week_start])
        tenant_id = int(cursor.fetchone()[0])
    with tenant_context(tenant_id):
        return Tenant.objects.get(pk=tenant_id)


def membership_set(*, tenant_id: int, user: AbstractBaseUser, role: str, actor: str = COMMAND) -> Membership:
    """Give a person a role in a tenant, or change it."""
    if role not in Membership.Role.values:
        raise AccessError("role", f"Unknown role {role!r}: choose one of {', '.join(Membership.Role.values)}.")
    with tenant_context(tenant_id):
        membership, _ = Membership.objects.update_or_create(
            tenant_id=tenant_id, user_id=user.pk, defaults={"role": role}
        )
        _note(tenant_id, actor, "member.set", f"user:{user.pk}", role=role)
    return membership


def membership_remove(*, tenant_id: int, user: AbstractBaseUser, actor: str = COMMAND) -> bool:
    """Take a person out of a tenant; False when they were not in it."""
    with tenant_context(tenant_id):
        deleted, _ = Membership.objects.filter(tenant_id=tenant_id, user_id=user.pk).delete()
        if deleted:
            _note(tenant_id, actor, "member.removed", f"user:{user.pk}")
    return deleted > 0


def api_key_create(
    *,
    tenant_id: int,
    kind: str,
    name: str,
    scopes: Sequence[str] = (),
    expires_at: datetime | None = None,
    created_by: Any = None,
    created_by_id: int | None = None,
    rotated_from: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; its token is returned this once and kept nowhere.

    A publishable key can only send events. A secret key without scopes gets all that keys may have.
    """
    granted = _granted(kind, scopes)
    token = token_mint(kind)
    user_id = created_by.pk if created_by is not None else created_by_id
    with tenant_context(tenant_id):
        key = ApiKey.objects.create(
            tenant_id=tenant_id,
            kind=kind,
            name=name[:100],
            prefix=token_prefix(token),
            digest=token_digest(token),
            scopes=sorted(granted),
            expires_at=expires_at,
            created_by_id=user_id,
            rotated_from=rotated_from,
        )
        before = {"rotated_from": rotated_from.prefix} if rotated_from is not None else {}
        _note(tenant_id, actor_of(user_id), "key.added", key.prefix, name=key.name, scopes=key.scopes, **before)
    return key, token


def api_key_rotate(
    *,
    tenant_id: int,
    key_id: UUID,
    now: datetime,
    overlap: timedelta = ROTATION_OVERLAP,
    created_by_id: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a successor of a key; the old one works on for `overlap`, so that its users can change over."""
    with tenant_context(tenant_id), transaction.atomic():
        old = ApiKey.objects.select_for_update().get(pk=key_id, tenant_id=tenant_id)
        if old.revoked_at is not None:
            raise AccessError("key", "This key is revoked: create a new one instead.")
        new, token = api_key_create(
            tenant_id=tenant_id,
            kind=old.kind,
            name=old.name,
            scopes=old.scopes,
            expires_at=_life_again(old, now),
            created_by_id=created_by_id,
            rotated_from=old,
        )
        end = now + overlap
        old.expires_at = min(old.expires_at, end) if old.expires_at else end
        old.save(update_fields=["expires_at"])
    return new, token


def api_key_revoke(*, tenant_id: int, key_id: UUID, now: datetime, actor: str = COMMAND) -> bool:
    """End a key; False when there is no such live key. Every process follows within five seconds."""
    with tenant_context(tenant_id):
        live = ApiKey.objects.filter(pk=key_id, tenant_id=tenant_id, revoked_at__isnull=True)
        prefix = live.values_list("prefix", flat=True).first()
        is_ended = bool(live.update(revoked_at=now))
        if is_ended:
            _note(tenant_id, actor, "key.revoked", prefix or "")
    return is_ended


def api_keys_touch(key_ids: Sequence[UUID]) -> None:
    """Note that keys were used just now."""
    with connections["default"].cursor() as cursor:
        cursor.execute(TOUCH, [list(key_ids), timezone.now()])


def _note(tenant_id: int, actor: str, action: str, what: str, **detail: Any) -> None:
    audit_record(tenant_id=tenant_id, actor=actor, action=action, what=what, detail=detail, at=timezone.now())


def _life_again(old: ApiKey, now: datetime) -> datetime | None:
    """A key that was made for 90 days is followed by one for 90 days."""
    return None if old.expires_at is None else now + (old.expires_at - old.created_at)


def _granted(kind: str, scopes: Sequence[str]) -> frozenset[str]:
    if kind not in ApiKey.Kind.values:
        raise AccessError("kind", f"Unknown kind {kind!r}: pk (send events only) or sk (secret).")
    allowed = PUBLISHABLE_SCOPES if kind == ApiKey.Kind.INGEST else SECRET_SCOPES
    unknown = sorted(set(scopes) - set(EVERY_SCOPE))
    if unknown:
        raise AccessError("scopes", f"Unknown scope '{unknown[0]}': choose from {', '.join(sorted(EVERY_SCOPE))}.")
    refused = sorted(set(scopes) - set(allowed))
    if refused:
        raise AccessError("scopes", f"A {kind}_ key cannot have the scope '{refused[0]}'.")
    return frozenset(scopes) or frozenset(allowed)


def _check_tenant(slug: str, name: str, zone: str, currency: str, week_start: int) -> None:
    if not SLUG.match(slug):
        raise AccessError("slug", f"{slug!r} is no slug: 1 to 63 of a-z, 0-9 and inner hyphens, for example acme-shop.")
    if not name.strip():
        raise AccessError("name", "The name is empty.")
    if not zone_exists(zone):
        raise AccessError("zone", f"Unknown time zone {zone!r}: use an IANA name, for example Europe/Paris or UTC.")
    if not currency_exists(currency):
        raise AccessError("base_currency", f"Unknown currency {currency!r}: use an ISO 4217 code, for example EUR.")
    if not 0 <= week_start <= 6:
        raise AccessError("week_start", f"Week start {week_start} is not in 0 (Monday) to 6 (Sunday).")


def zone_exists(zone: str) -> bool:
    """Whether an IANA zone of that very name exists; PostgreSQL must know it too, so no local files or links."""
    try:
        return ZoneInfo(zone).key == zone and not zone.startswith(("posix/", "right/", "localtime"))
    except (ValueError, OSError, KeyError):
        return False


def currency_exists(code: str) -> bool:
    """Whether an ISO 4217 code is known."""
    return code in list_currencies()
