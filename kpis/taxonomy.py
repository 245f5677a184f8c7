"""The standard event names: what they mean, what they must carry, and other names the same thing goes by.

Any name may be sent; these are the ones the built-in metrics understand. Names are snake_case, a noun and what happened
to it. PostHog's own (`$pageview` …) stay as they are, and the names of the Segment e-commerce specification are
aliases: a measure of `order_completed` counts `Order Completed` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class StandardEvent:
    """`carries` names the columns a built-in metric reads, so what an integration should send."""

    name: str
    help: str
    carries: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


_MONEY = ("amount", "currency")

COMMERCE = (
    StandardEvent(
        "order_completed",
        "A sale is made. Its amount is the whole order, fees included; its lines are events of their own.",
        (*_MONEY, "country", "channel"),
        ("Order Completed",),
    ),
    StandardEvent(
        "order_refunded",
        "Money of an order is given back. The sign of the amount does not matter; the day is the refund's own.",
        _MONEY,
        ("Order Refunded",),
    ),
    StandardEvent("item_purchased", "One line of an order. Never revenue: the order is.", (*_MONEY, "object_id")),
    StandardEvent("item_returned", "One line of a refund or cancellation.", (*_MONEY, "object_id")),
    StandardEvent("fee_charged", "A line that is no product: postage, commission, bank charges.", _MONEY),
    StandardEvent("stock_adjusted", "A stock movement without a price."),
    StandardEvent("ledger_adjusted", "A correction of the books; no sale.", _MONEY),
    StandardEvent("product_viewed", "A product's page is opened.", ("object_id",), ("Product Viewed",)),
    StandardEvent("cart_updated", "Something is put into or taken out of the basket.", (), ("Product Added",)),
    StandardEvent("checkout_started", "The way to pay begins.", (), ("Checkout Started",)),
)

CREATORS = (
    StandardEvent("gift_sent", "A viewer pays a creator with a gift.", (*_MONEY, "object_id")),
    StandardEvent("top_up_completed", "A wallet is filled. Prepaid money: revenue only when it is spent.", _MONEY),
    StandardEvent("membership_purchased", "A membership is bought, or bought again.", (*_MONEY, "tier")),
    StandardEvent("stream_started", "A creator goes live.", ("object_id",)),
    StandardEvent("stream_ended", "A stream is over.", ("duration_ms", "properties.viewers", "object_id")),
    StandardEvent("battle_started", "Two creators begin a battle."),
    StandardEvent("message_sent", "A chat message is sent."),
    StandardEvent("event_hosted", "An event takes place as promised.", ("object_id",)),
    StandardEvent("event_cancelled", "The host calls an event off.", ("object_id",), ("event_canceled",)),
)

SUBSCRIPTIONS = (
    StandardEvent(
        "subscription_started",
        "A subscription begins; amount is what is paid for one interval (a free trial: 0).",
        (*_MONEY, "properties.interval", "tier"),
        ("Subscription Started",),
    ),
    StandardEvent("subscription_renewed", "The next interval is paid, at the amount given.", _MONEY),
    StandardEvent("subscription_changed", "The plan changes; nothing is paid yet.", _MONEY, ("subscription_updated",)),
    StandardEvent("subscription_cancelled", "A subscription ends.", ("reason",), ("subscription_canceled",)),
)

PAYMENTS = (
    StandardEvent("payment_created", "A payment is opened.", (*_MONEY, "object_id", "method")),
    StandardEvent("payment_verifying", "A payment is being checked.", ("object_id",)),
    StandardEvent("payment_verified", "A payment has passed its check.", ("object_id",)),
    StandardEvent("payment_pending", "A payment waits for the bank or the customer.", ("object_id",)),
    StandardEvent(
        "payment_settled",
        "The money has come. `duration_ms` is the time since the payment was created.",
        (*_MONEY, "object_id", "method", "country", "duration_ms"),
        ("payment_succeeded", "payment_completed"),
    ),
    StandardEvent("payment_failed", "A payment is refused.", (*_MONEY, "object_id", "method", "reason")),
    StandardEvent("payment_expired", "A payment is not made in time.", ("object_id",)),
    StandardEvent("payment_refunded", "A settled payment is paid back.", (*_MONEY, "object_id")),
)

PEOPLE = (
    StandardEvent("signed_up", "A person makes an account.", ("channel",), ("Signed Up", "user_signed_up")),
    StandardEvent("logged_in", "A person signs in.", (), ("Signed In", "user_logged_in")),
    StandardEvent("otp_sent", "A one-time code is sent."),
    StandardEvent("otp_verified", "A one-time code is right."),
    StandardEvent("otp_failed", "A one-time code is wrong or too late.", ("reason",)),
    StandardEvent("page_view", "A page is shown.", ("properties.path",), ("$pageview", "$screen")),
    StandardEvent("event_viewed", "A page of something one can join is opened.", ("object_id",), ("listing_viewed",)),
    StandardEvent("event_joined", "A person signs up for it.", ("object_id",), ("joined", "Joined")),
    StandardEvent("event_attended", "A person is there.", ("object_id",), ("attended", "Attended")),
)

SYSTEM = (
    StandardEvent("webhook_delivered", "A webhook reached its receiver.", ("duration_ms",)),
    StandardEvent("webhook_failed", "A webhook was given up or refused.", ("reason",)),
    StandardEvent(
        "data_point",
        "A number published by a job or a model; the object names the metric.",
        ("value", "object_type = metric", "object_id"),
    ),
)

STANDARD_EVENTS = MappingProxyType(
    {event.name: event for group in (COMMERCE, CREATORS, SUBSCRIPTIONS, PAYMENTS, PEOPLE, SYSTEM) for event in group}
)

REVENUE_EVENTS = (
    "order_completed",
    "gift_sent",
    "membership_purchased",
    "subscription_started",
    "subscription_renewed",
)
"""What makes revenue: the sale itself, each franc once. Not its lines, not its payment, not the wallet it came from."""

REFUND_EVENTS = ("order_refunded",)

NOT_ACTIVITY = frozenset({"$set", "$identify", "$create_alias", "$groupidentify", "$feature_flag_called", "$pageleave"})
"""Events that do not make a person active (S9); a tenant may exclude more."""


def named(*names: str) -> frozenset[str]:
    """The standard names with all their aliases; KeyError for a name that is not standard."""
    events = [STANDARD_EVENTS[name] for name in names]
    return frozenset(name for event in events for name in (event.name, *event.aliases))
