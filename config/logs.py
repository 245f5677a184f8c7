"""Log lines: for people, or JSON where LOG_FORMAT=json; with the request they belong to, and without secrets.

What is taken out: keys, tokens, passwords in addresses and headers, e-mail addresses, card numbers, and public
addresses of people (kept to their network). It is done to the finished text, so that no logger can forget it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final

from analytics import trace

GONE: Final = "[redacted]"
Replace = str | Callable[[re.Match[str]], str]


def _card(found: re.Match[str]) -> str:
    """A number that passes Luhn's check is taken for a card's."""
    digits = [int(each) for each in found.group() if each.isdigit()]
    doubled = [each if n % 2 == 0 else sum(divmod(each * 2, 10)) for n, each in enumerate(reversed(digits))]
    return GONE if sum(doubled) % 10 == 0 else found.group()


def _address(found: re.Match[str]) -> str:
    """A public address becomes its network; those of machines of one's own stay."""
    try:
        address = ip_address(found.group())
    except ValueError:
        return found.group()
    if not address.is_global:
        return found.group()
    return f"{found.group().rpartition('.')[0]}.0/24" if address.version == 4 else f"{address.exploded[:14]}::/48"


# Bounded, each of them: what is logged may be the path of a request, and that is whatever somebody sends.
SECRETS: Final[tuple[tuple[re.Pattern[str], Replace], ...]] = (
    (re.compile(r"\b([ps]k_)[A-Za-z0-9]{20,}"), rf"\1{GONE}"),
    (re.compile(r"\beyJ[\w-]{8,4000}+\.[\w-]{8,4000}+\.[\w-]*"), GONE),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {GONE}"),
    (re.compile(r"(://[^\s:/@]{0,200}:)[^\s@]{1,200}@"), rf"\1{GONE}@"),
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api[_-]?key|authorization|cookie|sessionid)"
            r"[\w-]{0,40}+[\"']?\s{0,8}[:=]\s{0,8}[\"']?)(?!\[redacted\])[^\s\"',;&}]+"
        ),
        rf"\1{GONE}",
    ),
    (re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), GONE),
    (re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), _card),
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), _address),
    (re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f:]{0,20}(?![\w:])"), _address),
)
LONGEST: Final = 20_000


def redacted(text: str) -> str:
    """The text without secrets and without what names a person; at most 20,000 characters."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text[:LONGEST])
    return text


class Refusals(logging.Filter):
    """What Django refused (403, 404, 400) is one line: the way through its decorators tells nobody anything."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = None
        return True


class PlainFormatter(logging.Formatter):
    """For people: time, level, logger, request, message."""

    def format(self, record: logging.LogRecord) -> str:
        request = trace.request_id()
        text = super().format(record)
        return redacted(f"{text} [{request}]" if request else text)


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line, with `request_id` and `job` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            "process": record.process,
        }
        if request := trace.request_id():
            line["request_id"] = request
        if job := trace.job_named():
            line["job"] = job
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def track_errors(dsn: str) -> None:
    """Send errors to Sentry, redacted. Nothing is imported while SENTRY_DSN is empty."""
    if not dsn:
        return
    try:
        import sentry_sdk
    except ImportError:
        logging.getLogger("bellwether.boot").error("SENTRY_DSN is set: `pip install sentry-sdk` to send errors there")
        return
    sentry_sdk.init(
        dsn=dsn, send_default_pii=False, traces_sample_rate=0.0, max_request_body_size="never", before_send=scrubbed
    )


def scrubbed(event: Any, hint: Any = None) -> Any:
    """An error report with every text in it redacted."""
    if isinstance(event, str):
        return redacted(event)
    if isinstance(event, dict):
        return {key: scrubbed(value) for key, value in event.items()}
    if isinstance(event, list):
        return [scrubbed(value) for value in event]
    return event
