"""The type of an event whose sender names none: a coarse kind that follows from its name.

Case, spaces, dots and hyphens do not matter: `Order Completed`, as Segment's e-commerce names are spelt, is what
`order_completed` is. Types only sort events for people who look through them; no metric reads them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

USER_ACTION: Final = "user_action"
"""Somebody did something: whatever nothing else is known of."""

NAMED: Final = {
    "$pageview": "page_view",
    "$screen": "page_view",
    "page_view": "page_view",
    "$pageleave": "page_view",
    "$identify": "identity",
    "$set": "identity",
    "$create_alias": "identity",
    "$merge_dangerously": "identity",
    "$groupidentify": "identity",
    "$exception": "system",
    "data_point": "metric",
    "request_completed": "api_call",
    "top_up_completed": "payment",
    "membership_purchased": "payment",
}
BEGINNINGS: Final = {
    "payment_": "payment",
    "order_": "payment",
    "subscription_": "payment",
    "invoice_": "payment",
    "webhook_": "system",
    "generation_": "system",
}
FOLDED: Final = str.maketrans(" .-", "___")


@lru_cache(maxsize=10_000)
def type_of(name: str) -> str:
    """The type that every door gives an event of this name."""
    folded = name.lower().translate(FOLDED)
    if found := NAMED.get(folded):
        return found
    return next((kind for beginning, kind in BEGINNINGS.items() if folded.startswith(beginning)), USER_ACTION)
