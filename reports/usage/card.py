"""Usage as a card: its features, without groups that are too small to be shown to everybody."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from analytics.cache import Audience
from analytics.contracts import TenantInfo
from kpis.usage.answer import usage_read
from reports.dashboard.question import question_of
from reports.explore.card import CARD_SECONDS, CardPage, CardTable, Parameters, pages
from reports.explore.frame import amount, count, key_shown, share
from reports.usage.asking import KNOWN, asked_in
from reports.usage.page import reading_of

PATH: Final = "/usage/"


def usage_card(parameters: Parameters, tenant: TenantInfo, now: datetime) -> CardTable:
    """What is used, by how many, and what its users bring."""
    question = question_of(parameters, tenant, now, path=PATH, known=KNOWN)
    asked = asked_in(question, is_shared=True)
    audience = Audience(tenant.id, "card of a board")
    answer = usage_read(tenant=tenant, question=asked.ask, audience=audience, timeout=CARD_SECONDS)
    code = answer["currency"]
    rows = tuple(
        (
            key_shown(row["feature"]),
            count(row["users"]),
            share(row["share"]),
            f"{row['uses_per_user']:,.1f}",
            amount(row["revenue_per_user"], code),
        )
        for row in answer["features"]
    )
    return CardTable(
        reading_of(answer, code), ("Feature", "Users", "Of all active", "Uses each", "Revenue a user"), rows
    )


pages.register(CardPage(PATH, usage_card))
