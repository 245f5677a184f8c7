"""What views of metrics share: reading the question, and answering 304 when the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.selectors import statement_limit
from kpis.parameters import Ask, ask_of, refusals
from kpis.versions import answer_tag

ANSWER_SECONDS: Final = 10
"""No statement of an answer runs longer; a question that needs it is told what would do (422)."""


class MetricView(TenantView):
    """A view of metrics. `known` are the query parameters that it reads."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}
    known: ClassVar[Sequence[str]] = ()
    default_period: ClassVar = "last_30d"
    default_compare: ClassVar = ""

    def ask(self, request: Request, **defaults: str) -> Ask:
        """The question of the request, over `period` (the last 30 days) unless it says `from` and `to`."""
        given = {"default_period": self.default_period, "default_compare": self.default_compare, **defaults}
        return ask_of(request.query_params, self.tenant, timezone.now(), known=self.known, **given)

    def unless_same(
        self, request: Request, metrics: Sequence[str], end: datetime, now: datetime, answer: Callable[[], Any]
    ) -> Response:
        """The answer with its ETag, or 304 without working it out when the caller has it already."""
        with refusals(in_path="metric" in self.kwargs):
            tag = answer_tag(
                tenant_id=self.tenant.id, metrics=metrics, question=_question(request, end), end=end, now=now
            )
            if tag in request.headers.get("If-None-Match", ""):
                return Response(status=304, headers={"ETag": tag})
            statement_limit(ANSWER_SECONDS)
            return Response(answer(), headers={"ETag": tag})


def _question(request: Request, end: datetime) -> str:
    """Path, parameters in any order, and the end that words such as `last_30d` stand for now."""
    return f"{request.path}?{urlencode(sorted(request.query_params.items()))}&{end.isoformat()}"
