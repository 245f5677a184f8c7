"""What a User-Agent says: which device and browser, and whether a machine is behind it.

Bots are flagged with a reason and kept (S33). ua-parser knows the families; the words below know the newer machines.
Answers are remembered by text, because few user agents send most events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from ua_parser import parse

MAX_AGENT: Final = 512  # the rest never decides, and long texts are how slow patterns are attacked
REMEMBERED: Final = 20_000

AI_AGENTS: Final = re.compile(
    r"GPTBot|ChatGPT|OAI-SearchBot|ClaudeBot|Claude-|anthropic|PerplexityBot|Perplexity-User|Google-Extended|"
    r"Bytespider|CCBot|cohere-|Meta-External|Amazonbot|YouBot|Diffbot|MistralAI|DuckAssist|Applebot-Extended",
    re.IGNORECASE,
)
HEADLESS: Final = re.compile(
    r"Headless|PhantomJS|Puppeteer|Playwright|Selenium|webdriver|Electron/.*Cypress",
    re.IGNORECASE,
)
MONITORS: Final = re.compile(
    r"Pingdom|UptimeRobot|StatusCake|Site24x7|Datadog|NewRelic|Lighthouse|PageSpeed|GTmetrix|Better ?Uptime|"
    r"Checkly|Catchpoint|kube-probe|GoogleHC|ELB-HealthChecker|Synthetic",
    re.IGNORECASE,
)
CRAWLERS: Final = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|scrap|archiver|facebookexternalhit|WhatsApp/|preview|feedfetcher|mediapartners|"
    r"curl_impersonate|wget|HTTrack|Nutch|Yandex(?!Search/|\.Browser)|Baidu(?!boxapp)",
    re.IGNORECASE,
)
# The SDKs' and HTTP libraries' own names: a server speaking for its users, no bot.
SERVERS: Final = re.compile(
    r"posthog-(?:python|node|go|ruby|php|java|dotnet|elixir|rs)|analytics-(?:python|node|go|ruby|php|java)|rudder|segment|"
    r"python|aiohttp|httpx|node|axios|got\b|undici|go-http-client|okhttp|java|ruby|guzzle|php|curl/|bellwether",
    re.IGNORECASE,
)

AHEAD: Final = ("purpose", "sec-purpose", "x-purpose", "x-moz")
WSGI_AHEAD: Final = ("HTTP_PURPOSE", "HTTP_SEC_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


class Agent(msgspec.Struct, frozen=True, gc=False):
    """What a User-Agent stands for. `platform` is web, ios, android or server; None when it cannot be told."""

    bot_reason: str | None = None
    platform: str | None = None
    browser: str | None = None
    os: str | None = None
    device_type: str | None = None


NOBODY: Final = Agent()
_known: dict[str, Agent] = {}


def agent(text: str | None) -> Agent:
    """What a User-Agent stands for; an empty one stands for nothing."""
    if not text:
        return NOBODY
    text = text[:MAX_AGENT]
    found = _known.get(text)
    if found is None:
        if len(_known) >= REMEMBERED:
            _known.clear()
        found = _known[text] = _read(text)
    return found


def _read(text: str) -> Agent:
    reason = _machine(text)
    if reason is None and not text.startswith(("Mozilla/", "Opera/")):
        return Agent(platform="server") if SERVERS.match(text) else NOBODY
    parsed = parse(text)
    device = parsed.device.family if parsed.device else ""
    if reason is None and device == "Spider":
        reason = "crawler"
    system = parsed.os.family if parsed.os else None
    browser = parsed.user_agent.family if parsed.user_agent else None
    return Agent(reason, "web", browser, system, _device_type(text, device, system))


def _machine(text: str) -> str | None:
    if AI_AGENTS.search(text):
        return "ai_agent"
    if HEADLESS.search(text):
        return "headless_browser"
    if MONITORS.search(text):
        return "monitor"
    return "crawler" if CRAWLERS.search(text) else None


def _device_type(text: str, device: str, system: str | None) -> str:
    if "iPad" in device or "Tablet" in text or (system == "Android" and "Mobile" not in text):
        return "Tablet"
    if system in ("iOS", "Android") or "Mobile" in text:
        return "Mobile"
    return "Desktop"


def is_prefetch(headers: Mapping[str, str], names: tuple[str, ...] = AHEAD) -> bool:
    """Whether a browser fetched ahead of its user (`Purpose`, `Sec-Purpose`, `X-Purpose`, `X-Moz`)."""
    for name in names:
        said = headers.get(name)
        if said and ("prefetch" in said or "prerender" in said or "preview" in said):
            return True
    return False
