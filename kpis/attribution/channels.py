"""Which channel a touch came through: ordered rules over its source, medium, campaign and referrer. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Final

MISSING: Final = "(none)"
DIRECT: Final = "direct"
OTHER_CHANNEL: Final = "other"


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """What is known of where a touch came from; '' where nothing is."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    referrer: str = ""

    @property
    def is_direct(self) -> bool:
        return not (self.source or self.medium or self.campaign or self.referrer)


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """A touch is of this channel when all four parts fit; the first rule that fits wins.

    A part is a list of patterns separated by commas: `google*`, `cpc`, `*` for anything that is there, `(none)` for
    nothing; an empty one fits everything. Case does not matter.
    """

    channel: str
    source: str = ""
    medium: str = ""
    campaign: str = ""
    referrer: str = ""
    is_paid: bool = False

    def fits(self, touch: Touchpoint) -> bool:
        return (
            _fits(self.source, touch.source)
            and _fits(self.medium, touch.medium)
            and _fits(self.campaign, touch.campaign)
            and _fits(self.referrer, touch.referrer)
        )


SEARCH: Final = (
    "google*, *.google.*, bing*, *.bing.com, yahoo*, *.yahoo.*, duckduckgo*, ecosia*, baidu*, yandex*, qwant*"
)
SOCIAL: Final = (
    "facebook*, *.facebook.com, fb, instagram*, *.instagram.com, twitter*, t.co, x.com, linkedin*, *.linkedin.com,"
    " lnkd.in, tiktok*, *.tiktok.com, reddit*, *.reddit.com, pinterest*, *.pinterest.*, youtube*, *.youtube.com,"
    " snapchat*, threads*"
)
PAID: Final = "cpc, ppc, paid*, sem, retargeting, cpm, cpv, cpa"
DEFAULT_RULES: Final = (
    ChannelRule("paid_search", source=SEARCH, medium=PAID, is_paid=True),
    ChannelRule("paid_social", source=SOCIAL, medium=PAID, is_paid=True),
    ChannelRule("display", medium="display, banner, cpm, interstitial", is_paid=True),
    ChannelRule("paid_other", medium=PAID, is_paid=True),
    ChannelRule("affiliate", medium="affiliate*", is_paid=True),
    ChannelRule("email", medium="email, e-mail, newsletter"),
    ChannelRule("email", source="email, e-mail, newsletter*, mailchimp*, sendgrid*"),
    ChannelRule("sms", medium="sms"),
    ChannelRule("push", medium="push, notification, webpush"),
    ChannelRule("social", medium="social*, sm"),
    ChannelRule("social", source=SOCIAL),
    ChannelRule("search", medium="organic"),
    ChannelRule("search", source=SEARCH),
    ChannelRule("social", source=MISSING, referrer=SOCIAL),
    ChannelRule("search", source=MISSING, referrer=SEARCH),
    ChannelRule("referral", medium="referral"),
    ChannelRule(
        DIRECT, source="(none), direct, (direct)", medium=MISSING, campaign=MISSING, referrer="(none), $direct"
    ),
    ChannelRule("campaign", campaign="*"),
    ChannelRule("referral", source=MISSING, referrer="*"),
)
"""What a tenant has that made no rules of its own."""


def channel_of(touch: Touchpoint, rules: Sequence[ChannelRule]) -> tuple[str, bool]:
    """The channel and whether it is paid for. What no rule fits is direct when nothing is known of it, else "other"."""
    for rule in rules:
        if rule.fits(touch):
            return rule.channel, rule.is_paid
    return (DIRECT if touch.is_direct else OTHER_CHANNEL), False


def _fits(patterns: str, value: str) -> bool:
    if not patterns.strip():
        return True
    return _compiled(patterns).match(value.lower()) is not None if value else MISSING in _parts(patterns)


@lru_cache(maxsize=4096)
def _compiled(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(translate(part) for part in _parts(patterns)))


def _parts(patterns: str) -> Iterable[str]:
    return (part.strip().lower() for part in patterns.split(",") if part.strip())
