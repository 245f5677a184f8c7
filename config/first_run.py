"""What a new home gets once: an administrator, a demo tenant with keys, and a file that tells automation of them."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from analytics.access.services import api_key_create, membership_set, tenant_create
from analytics.contracts import TenantInfo
from analytics.durable import write_whole
from analytics.models import Event
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context

TENANT = "demo"
ADMIN = "admin"
CREDENTIALS = "credentials.json"


def first_run(*, home: Path, url: str) -> dict[str, str]:
    """Make what is missing and return the credentials; secrets of an earlier run are kept.

    Keys and passwords are stored as digests: a lost `credentials.json` means new keys (the old ones stay valid) and
    a new password.
    """
    path = home / CREDENTIALS
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    with transaction.atomic():
        tenant = _tenant()
        if not known or not get_user_model().objects.filter(username=known["admin_user"]).exists():
            known = {**_keys(tenant), **_administrator(tenant), "tenant": tenant.slug}
    order = ("url", "admin_user", "admin_password", "tenant", "pk", "sk")
    known = {name: {**known, "url": url}[name] for name in order}
    write_whole(path, (json.dumps(known, indent=1) + "\n").encode(), mode=0o600)
    return known


def has_events(slug: str) -> bool:
    """Does the tenant hold any event at all?"""
    with tenant_context(tenant_by_slug(slug).id):
        return Event.objects.exists()


def _tenant() -> TenantInfo:
    try:
        return tenant_by_slug(TENANT)
    except UnknownTenant:
        tenant_create(slug=TENANT, name="Demo market", zone="Europe/Paris", base_currency="EUR")
        return tenant_by_slug(TENANT)


def _keys(tenant: TenantInfo) -> dict[str, str]:
    return {kind: api_key_create(tenant_id=tenant.id, kind=kind, name="bin/up")[1] for kind in ("pk", "sk")}


def _administrator(tenant: TenantInfo) -> dict[str, str]:
    users: Any = get_user_model().objects
    password = secrets.token_urlsafe(15)
    user = users.filter(username=ADMIN).first() or users.create_superuser(username=ADMIN, email="admin@example.org")
    user.set_password(password)
    user.save()
    membership_set(tenant_id=tenant.id, user=user, role="owner")
    return {"admin_user": ADMIN, "admin_password": password}
