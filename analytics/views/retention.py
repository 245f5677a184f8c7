"""For how long events are kept, and who changed what."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.audit import audit_entries
from analytics.pagination import keyset_page
from analytics.retention_rules import RetentionError, retention_preview, retention_read, retention_set
from analytics.selectors import statement_limit
from analytics.serializers import retention as serializers
from analytics.views.parameters import CURSOR, SPAN

PREVIEW_SECONDS = 10


class RetentionView(TenantView):
    """Events that are kept."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.SETTINGS_WRITE}

    @extend_schema(responses=serializers.RetentionSerializer, operation_id="retention_read")
    def get(self, request: Request) -> Response:
        """The rule as it stands, and how far the clean-up has come."""
        filters.only_known(request.query_params, ())
        return Response(serializers.RetentionSerializer(retention_read(tenant_id=self.tenant.id)).data)

    @extend_schema(
        request=serializers.RetentionChangeSerializer,
        responses=PolymorphicProxySerializer(
            "RetentionAnswer",
            [serializers.RetentionSerializer, serializers.RetentionPlanSerializer],
            resource_type_field_name=None,
        ),
        operation_id="retention_change",
    )
    def put(self, request: Request) -> Response:
        """Replace the rule; the next clean-up (Sunday 03:00 of the tenant, or `manage.py retention`) follows it.

        With `dry_run` nothing changes, and the answer says what a clean-up by it would remove now. Numbers that were
        counted stay, whatever goes; what has gone does not come back.
        """
        wanted = filters.body(serializers.RetentionChangeSerializer, request.data)
        is_dry_run = wanted.pop("dry_run")
        now, tenant_id = timezone.now(), self.tenant.id
        try:
            if is_dry_run:
                statement_limit(PREVIEW_SECONDS)
                return Response(retention_preview(tenant_id=tenant_id, now=now, **wanted).as_dict())
            retention_set(tenant_id=tenant_id, actor=self.credential.actor, now=now, **wanted)
        except RetentionError as error:
            filters.refuse(error.field, "invalid_retention", str(error))
        return self.get(request)


class AuditView(TenantView):
    """The audit trail."""

    scopes: ClassVar = {"read": Scope.ACCESS_READ}
    PARAMETERS: ClassVar = [
        *SPAN,
        OpenApiParameter(
            "action",
            description="One such as key.revoked, or all of a kind: key, member, retention, subject, thresholds.",
        ),
        OpenApiParameter("actor", description="user:<number> or key:<id>, as answers show it."),
        *CURSOR,
    ]

    @extend_schema(parameters=PARAMETERS, responses=serializers.AuditPageSerializer, operation_id="audit_list")
    def get(self, request: Request) -> Response:
        """Keys and members that came and went, changes of retention and of limits, people erased; newest first."""
        asked: Any = request.query_params
        filters.only_known(asked, [parameter.name for parameter in self.PARAMETERS])
        span = filters.span_parameters(asked, filters.calendar_of(self.tenant))
        action, actor = (filters.text_parameter(asked, name) for name in ("action", "actor"))
        found = audit_entries(tenant_id=self.tenant.id, action=action, actor=actor).filter(span.condition("at"))
        page = keyset_page(found, request, time_column="at")
        return Response(page.body(serializers.AuditEntrySerializer(page.rows, many=True).data))
