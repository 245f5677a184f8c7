"""The standard event names: what they mean, what they must carry, and other names the same thing goes by.

Any name may be sent; these are the ones the built-in metrics understand. Names are snake_case, a noun and what happened
to it. PostHog's own (`$pageview` …) stay as they are, and the names of the Segment e-commerce specification are
aliases: a measure of `order_completed` counts `Order Completed` too.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        (*_MONEY, "country", "channel", "campaign", "properties.campaign_type"),
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
    StandardEvent(
        "cart_updated", "Something is put into or taken out of the basket.", (), ("Product Added", "Product Removed")
    ),
    StandardEvent("checkout_started", "The way to pay begins.", (), ("Checkout Started",)),
)

CREATORS = (
    StandardEvent(
        "gift_sent",
        "A viewer pays a creator with a gift; the object is the creator.",
        (*_MONEY, "object_type = creator", "object_id"),
    ),
    StandardEvent("top_up_completed", "A wallet is filled. Prepaid money: revenue only when it is spent.", _MONEY),
    StandardEvent(
        "membership_purchased",
        "A membership is bought, or bought again; of a creator's, when the object is one.",
        (*_MONEY, "tier", "object_type = creator", "object_id"),
    ),
    StandardEvent("stream_started", "A creator goes live; the object is the creator.", ("object_id",)),
    StandardEvent("stream_ended", "A stream is over.", ("duration_ms", "properties.viewers", "object_id")),
    StandardEvent("battle_started", "Two creators begin a battle.", ("object_id",)),
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
    StandardEvent("verification_started", "A person begins to prove an identity or address."),
    StandardEvent("verification_completed", "The proof is complete."),
    StandardEvent("otp_sent", "A one-time code is sent."),
    StandardEvent("otp_verified", "A one-time code is right."),
    StandardEvent("otp_failed", "A one-time code is wrong or too late.", ("reason",)),
    StandardEvent("page_view", "A page is shown.", ("properties.path",), ("$pageview", "$screen")),
    StandardEvent("event_viewed", "A page of something one can join is opened.", ("object_id",)),
    StandardEvent("event_joined", "A person signs up for it.", ("object_id",), ("joined", "Joined")),
    StandardEvent("event_attended", "A person is there.", ("object_id",), ("attended", "Attended")),
)

SAFETY = (
    StandardEvent(
        "content_flagged",
        "Somebody, or a filter, reports content; the object is the content.",
        ("object_id", "content_type", "reason"),
    ),
    StandardEvent(
        "moderation_action",
        "A moderator decides on it: `action` is warn, remove, restrict, dismiss …; `duration_ms` is the time since the "
        "flag.",
        ("action", "object_id", "content_type", "duration_ms"),
    ),
    StandardEvent("user_banned", "A person is shut out.", ("reason",)),
    StandardEvent("user_unbanned", "A person may come back."),
    StandardEvent("appeal_opened", "A person objects to a decision.", ("object_id", "reason")),
    StandardEvent("appeal_granted", "The decision is taken back.", ("object_id",)),
    StandardEvent("appeal_rejected", "The decision stands.", ("object_id",)),
)

GAMING = (
    StandardEvent("game_started", "A round begins; `content_type` is the game.", ("content_type",)),
    StandardEvent(
        "game_ended",
        "A round is over: `value` is the score, `properties.score_band` what to group scores by.",
        ("content_type", "duration_ms", "value", "properties.score_band"),
    ),
    StandardEvent(
        "stake_placed",
        "A stake is paid in. With `properties.free_play = true` it is play money and counts nowhere.",
        (*_MONEY, "content_type", "properties.free_play"),
    ),
    StandardEvent("payout_made", "A stake is paid out, as much as the player gets.", (*_MONEY, "content_type")),
)

PRODUCT = (
    StandardEvent("feature_used", "A feature is used; the object is the feature.", ("object_id",)),
    StandardEvent(
        "automation_completed",
        "A run of an automation ends without anybody's help; `value` is the hours of work that it saved.",
        ("object_id", "value", "duration_ms"),
    ),
    StandardEvent("automation_failed", "A run of an automation needs somebody.", ("object_id", "reason")),
    StandardEvent("content_created", "Something is made: a video, a page, a picture.", ("object_type", "content_type")),
    StandardEvent("event_created", "An event is announced.", ("object_id",)),
    StandardEvent("post_published", "A post goes out on a platform.", ("platform", "campaign", "content_type")),
    StandardEvent(
        "post_engaged",
        "Somebody reacts to a post: `action` is like, share, comment …",
        ("platform", "campaign", "content_type", "action"),
    ),
)

_OF_CAMPAIGN = ("campaign", "channel", "properties.campaign_type")

MARKETING = (
    StandardEvent("ad_shown", "An advertisement is shown.", _OF_CAMPAIGN),
    StandardEvent("ad_clicked", "An advertisement is clicked.", _OF_CAMPAIGN),
    StandardEvent("lead_created", "Somebody leaves an address.", _OF_CAMPAIGN),
    StandardEvent("lead_converted", "A lead becomes a customer.", _OF_CAMPAIGN),
    StandardEvent("campaign_charged", "What a campaign has cost.", (*_MONEY, *_OF_CAMPAIGN)),
)

DIRECTORY = (
    StandardEvent(
        "listing_created", "Something is listed; `content_type` is its category.", ("object_id", "content_type")
    ),
    StandardEvent(
        "listing_viewed",
        "A listing's page is opened.",
        ("object_id", "content_type", "country", "properties.city"),
    ),
    StandardEvent("listing_contacted", "Somebody asks about a listing.", ("object_id", "content_type")),
)

TRADING = (
    StandardEvent(
        "trade_opened", "A position is opened; the object is the instrument.", ("object_id", "properties.strategy")
    ),
    StandardEvent(
        "trade_closed",
        "A position is closed: the amount is its profit, or its loss with a minus sign.",
        (*_MONEY, "object_id", "properties.strategy", "duration_ms"),
    ),
)

SYSTEM = (
    StandardEvent(
        "request_completed",
        "The middleware answered a request that is no page; pages come as `page_view` with the same properties.",
        ("duration_ms", "properties.path", "properties.status"),
    ),
    StandardEvent(
        "webhook_queued",
        "A webhook is to be delivered; `content_type` is the type of event.",
        ("content_type", "object_id"),
    ),
    StandardEvent("webhook_delivered", "A webhook reached its receiver.", ("content_type", "object_id", "duration_ms")),
    StandardEvent("webhook_failed", "A webhook was given up or refused.", ("content_type", "object_id", "reason")),
    StandardEvent("generation_completed", "A job made content.", ("content_type", "duration_ms")),
    StandardEvent("generation_failed", "A job that was to make content gave up.", ("content_type", "reason")),
    StandardEvent(
        "data_point",
        "A number published by a job or a model; the object names the metric.",
        ("value", "object_type = metric", "object_id"),
    ),
)

GROUPS: Mapping[str, tuple[StandardEvent, ...]] = MappingProxyType(
    {
        "Commerce": COMMERCE,
        "Creators": CREATORS,
        "Subscriptions": SUBSCRIPTIONS,
        "Payments": PAYMENTS,
        "People": PEOPLE,
        "Safety": SAFETY,
        "Gaming": GAMING,
        "Product": PRODUCT,
        "Marketing": MARKETING,
        "Directory": DIRECTORY,
        "Trading": TRADING,
        "System": SYSTEM,
    }
)
"""The standard events by area, in the order in which people read them."""

STANDARD_EVENTS = MappingProxyType({event.name: event for group in GROUPS.values() for event in group})

STANDARD_NAMES: Mapping[str, str] = MappingProxyType(
    {name: event.name for event in STANDARD_EVENTS.values() for name in (event.name, *event.aliases)}
)
"""Each name that has a meaning, standard or alias, to its standard name."""

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
