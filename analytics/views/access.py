"""Log-in, keys and members."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.access import services
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.access.selectors import Place, places_of_user
from analytics.access.throttles import LoginThrottle, RenewalThrottle
from analytics.access.tokens import TokenPair, access_renew
from analytics.filters import body, refuse
from analytics.models import ApiKey, Membership, Tenant
from analytics.pagination import COUNTED, paged
from analytics.serializers import access as serializers


class TokenView(APIView):
    """Log in with a password."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = [LoginThrottle]

    @extend_schema(
        request=serializers.LoginSerializer,
        responses=serializers.TokensSerializer,
        auth=[],
        operation_id="token_create",
    )
    def post(self, request: Request) -> Response:
        """An access and a refresh token for one tenant of the person."""
        login = body(serializers.LoginSerializer, request.data)
        user = authenticate(request._request, username=login["username"], password=login["password"])
        if user is None:
            raise AuthenticationFailed("Wrong name or password.", code="invalid_login")
        pair = TokenPair(user, _place(user, login.get("tenant")))
        return Response({"access": pair.access, "refresh": pair.refresh})

    def get_authenticate_header(self, request: Request) -> str:
        """Makes a failed log-in a 401, which DRF takes from the first authenticator otherwise."""
        return 'Bearer realm="bellwether"'


class TokenRefreshView(TokenView):
    """Renew an access token."""

    throttle_classes = [RenewalThrottle]

    @extend_schema(
        request=serializers.RefreshSerializer,
        responses=serializers.AccessTokenSerializer,
        auth=[],
        operation_id="token_refresh",
    )
    def post(self, request: Request) -> Response:
        """A new access token, as long as the account and its membership are unchanged."""
        access = access_renew(body(serializers.RefreshSerializer, request.data)["refresh"])
        if access is None:
            raise AuthenticationFailed("This refresh token is invalid or expired: log in again.", code="invalid_token")
        return Response({"access": access})


class TenantDetailView(TenantView):
    """The tenant of the credential."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}

    @extend_schema(responses=serializers.TenantSerializer, operation_id="tenant_read")
    def get(self, request: Request) -> Response:
        """How this tenant cuts time and counts money."""
        return Response(serializers.TenantSerializer(Tenant.objects.get(pk=self.tenant.id)).data)


class MembersView(TenantView):
    """People of the tenant."""

    scopes: ClassVar = {"read": Scope.ACCESS_READ}

    @extend_schema(parameters=COUNTED, responses=serializers.MembershipPageSerializer, operation_id="members_list")
    def get(self, request: Request) -> Response:
        """Everybody with a role here."""
        members = Membership.objects.filter(tenant_id=self.tenant.id).select_related("user").order_by("user__username")
        return paged(request, members, serializers.MembershipSerializer)


class KeysView(TenantView):
    """API keys of the tenant."""

    scopes: ClassVar = {"read": Scope.ACCESS_READ, "write": Scope.ACCESS_WRITE}

    @extend_schema(parameters=COUNTED, responses=serializers.ApiKeyPageSerializer, operation_id="keys_list")
    def get(self, request: Request) -> Response:
        """All keys, newest first, without their secrets."""
        keys = ApiKey.objects.filter(tenant_id=self.tenant.id).order_by("-created_at", "-id")
        return paged(request, keys, serializers.ApiKeySerializer)

    @extend_schema(
        request=serializers.ApiKeyRequestSerializer,
        responses={201: serializers.NewApiKeySerializer},
        operation_id="keys_create",
    )
    def post(self, request: Request) -> Response:
        """A new key; its token is in this answer and never again."""
        wanted = body(serializers.ApiKeyRequestSerializer, request.data)
        try:
            key, token = services.api_key_create(
                tenant_id=self.tenant.id, created_by_id=self.credential.user_id, **wanted
            )
        except services.AccessError as error:
            refuse(error.field, "invalid", str(error))
        return Response(_with_token(key, token), status=status.HTTP_201_CREATED)


class KeyView(TenantView):
    """One API key."""

    scopes: ClassVar = {"read": Scope.ACCESS_READ, "write": Scope.ACCESS_WRITE}

    @extend_schema(responses=serializers.ApiKeySerializer, operation_id="keys_read")
    def get(self, request: Request, key_id: UUID) -> Response:
        """The key, without its secret."""
        return Response(serializers.ApiKeySerializer(_key(self.tenant.id, key_id)).data)

    @extend_schema(responses={204: None}, operation_id="keys_revoke")
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke the key: within five seconds no process takes it any more."""
        _key(self.tenant.id, key_id)
        actor = self.credential.actor
        services.api_key_revoke(tenant_id=self.tenant.id, key_id=key_id, now=timezone.now(), actor=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeyRotateView(TenantView):
    """Successors of keys."""

    scopes: ClassVar = {"write": Scope.ACCESS_WRITE}

    @extend_schema(request=None, responses={201: serializers.NewApiKeySerializer}, operation_id="keys_rotate")
    def post(self, request: Request, key_id: UUID) -> Response:
        """A successor with the same rights; the old key works on for 24 hours."""
        _key(self.tenant.id, key_id)
        try:
            key, token = services.api_key_rotate(
                tenant_id=self.tenant.id, key_id=key_id, now=timezone.now(), created_by_id=self.credential.user_id
            )
        except services.AccessError as error:
            refuse(error.field, "invalid", str(error))
        return Response(_with_token(key, token), status=status.HTTP_201_CREATED)


def _place(user: AbstractBaseUser, slug: str | None) -> Place:
    places = places_of_user(user)
    chosen = [place for place in places if slug in (None, place.tenant.slug)]
    if len(chosen) == 1:
        return chosen[0]
    if not places:
        raise AuthenticationFailed("This account belongs to no tenant yet.", code="no_tenant")
    slugs = ", ".join(place.tenant.slug for place in places)
    raise ValidationError({"tenant": [f"Choose one of your tenants: {slugs}."]}, code="tenant_required")


def _key(tenant_id: int, key_id: UUID) -> ApiKey:
    key = ApiKey.objects.filter(tenant_id=tenant_id, pk=key_id).first()
    if key is None:
        raise NotFound
    return key


def _with_token(key: ApiKey, token: str) -> dict[str, Any]:
    return {**serializers.ApiKeySerializer(key).data, "token": token}
