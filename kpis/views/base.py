"""What views of metrics share: reading the question, and answering 304 when the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.functional import cached_property
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.cache import BROWSER, DASHBOARD, MAPPING, Audience, cache, remember
from analytics.selectors import statement_limit
from kpis import warming
from kpis.parameters import Ask, ask_of, refusals
from kpis.versions import answer_version, tag_of

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

    @cached_property
    def audience(self) -> Audience:
        """Who may be given the same answer."""
        return Audience.of(self.credential)

    def unless_same(
        self,
        request: Request,
        metrics: Sequence[str],
        end: datetime,
        now: datetime,
        answer: Callable[[], Any],
        *,
        ttl: int = DASHBOARD,
        also: str = "",
    ) -> Response:
        """The answer with its ETag, or 304 without working it out when the caller has it already.

        It is remembered for `ttl` seconds, but only under the same version of data and definitions, and of what else
        it depends on (`also`, a text that changes with it).
        """
        with refusals(in_path="metric" in self.kwargs):
            version = answer_version(tenant_id=self.tenant.id, metrics=metrics, end=end, now=now) + also
            question = _question(request, end, now)
            headers = {"ETag": tag_of(version, question=question, end=end, now=now), **browser_headers(end, now)}
            warm = warming.address(request.path, request.query_params.dict())
            if headers["ETag"] in request.headers.get("If-None-Match", ""):
                remember(self.audience, warming.ADDRESS, warm)
                return Response(status=304, headers=headers)
            found = cache().answer(
                audience=self.audience,
                name=f"api.{type(self).__name__}",
                question=question,
                compute=lambda: _written(answer),
                ttl=ttl,
                now=now,
                tags=(MAPPING,),
                stamp=version,
                into=bytes,
            )
            remember(self.audience, warming.ADDRESS, warm)  # here, because what was refused is not worth asking again
            return Written(found, headers)


class Written(Response):
    """An answer that is JSON already."""

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self["Content-Type"] = "application/json"
        self._body = body

    @property
    def rendered_content(self) -> bytes:  # type: ignore[override]  # text or bytes: Django takes either as content
        return self._body


def _written(answer: Callable[[], Any]) -> bytes:
    """As JSON, so that what is remembered is not written again: of 200 metrics that takes longer than finding it."""
    statement_limit(ANSWER_SECONDS)
    return bytes(JSONRenderer().render(answer()))


def browser_headers(end: datetime, now: datetime) -> dict[str, str]:
    """What is over may be shown again for five minutes without asking; what is not is asked for each time."""
    return {"Cache-Control": f"private, max-age={BROWSER}"} if end < now else {}


def _question(request: Request, end: datetime, now: datetime) -> str:
    """Path, parameters in any order, and the end that words such as `last_30d` stand for now.

    A range until now has no end of its own: within a minute it is the same question.
    """
    until = "now" if end == now else end.isoformat()
    return f"{request.path}?{urlencode(sorted(request.query_params.items()))}&{until}"
