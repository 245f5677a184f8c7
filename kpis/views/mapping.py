"""What a tenant's own names of events stand for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.selectors import statement_limit
from kpis import mapping, serializers
from kpis.taxonomy import GROUPS
from kpis.views.base import ANSWER_SECONDS


class MappingView(TenantView):
    """The tenant's own names of events."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}

    @extend_schema(responses=serializers.MappingSerializer, operation_id="mapping_read")
    def get(self, request: Request) -> Response:
        """What names stand for, which names were sent in the last 30 days, and all standard events."""
        statement_limit(ANSWER_SECONDS)
        found = mapping.event_names_read(tenant_id=self.tenant.id)
        seen = mapping.event_names_seen(tenant_id=self.tenant.id, now=timezone.now())
        groups = {title: [asdict(event) for event in group] for title, group in GROUPS.items()}
        return Response({**_shown(found), "seen": [asdict(name) for name in seen], "standard": groups})

    @extend_schema(
        request=serializers.MappingChangeSerializer,
        responses={200: serializers.MappingPreviewSerializer, 202: serializers.MappingStateSerializer},
        operation_id="mapping_change",
    )
    def put(self, request: Request) -> Response:
        """Replace all of them. With `dry_run`, only say what would move; else a job counts, and then they hold."""
        wanted = filters.body(serializers.MappingChangeSerializer, request.data)
        try:
            if wanted["dry_run"]:
                statement_limit(ANSWER_SECONDS)
                return Response(asdict(mapping.event_names_preview(tenant_id=self.tenant.id, names=wanted["names"])))
            actor = self.credential.actor
            mapping.event_names_set(tenant_id=self.tenant.id, names=wanted["names"], created_by=actor)
        except mapping.MappingError as error:
            filters.refuse("names", "bad_name", str(error))
        found = mapping.event_names_read(tenant_id=self.tenant.id)
        return Response(_shown(found), status=status.HTTP_202_ACCEPTED if found.building else status.HTTP_200_OK)


def _shown(found: mapping.EventNames) -> dict[str, Any]:
    building = None if found.building is None else dict(found.building)
    return {"names": dict(found.live), "building": building, "job": found.job_id}
