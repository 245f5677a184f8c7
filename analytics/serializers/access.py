"""The JSON of tenants, members, keys and log-ins."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.access.roles import EVERY_SCOPE
from analytics.models import ApiKey, Membership, Tenant
from analytics.serializers.paging import Counted


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    """The tenant of the credential. `week_start` counts from Monday = 0; before `events_kept_from` events are gone."""

    class Meta:
        model = Tenant
        fields = [
            "slug", "name", "zone", "base_currency", "week_start", "created_at", "retention_days", "events_kept_from",
        ]  # fmt: skip
        read_only_fields = fields


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, without its secret."""

    class Meta:
        model = ApiKey
        fields = ["id", "kind", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
        read_only_fields = fields


class ApiKeyRequestSerializer(serializers.Serializer[Any]):
    """A key to make. `pk` only sends events; `sk` without scopes may do all that keys can."""

    kind = serializers.ChoiceField(choices=ApiKey.Kind.choices)
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(EVERY_SCOPE)), required=False, default=list
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class NewApiKeySerializer(ApiKeySerializer):
    """A key just made, with its token: it is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "token"]
        read_only_fields = fields


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in the tenant."""

    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ["id", "username", "role", "created_at"]
        read_only_fields = fields


class LoginSerializer(serializers.Serializer[Any]):
    """A person's log-in. `tenant` is needed only by members of several."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    tenant = serializers.CharField(max_length=63, required=False)


class RefreshSerializer(serializers.Serializer[Any]):
    """A refresh token."""

    refresh = serializers.CharField(max_length=4000)


class TokensSerializer(serializers.Serializer[Any]):
    """An access token (15 minutes) and the refresh token that renews it (a day)."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class AccessTokenSerializer(serializers.Serializer[Any]):
    """A new access token."""

    access = serializers.CharField()


class ApiKeyPageSerializer(Counted):
    """A page of keys."""

    results = ApiKeySerializer(many=True)


class MembershipPageSerializer(Counted):
    """A page of members."""

    results = MembershipSerializer(many=True)
