"""PostHog's family of endpoints: what bodies look like, where keys are, and the answers its SDKs accept in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec

from analytics.capture.clocks import instant
from analytics.capture.decode import UnreadableBody
from analytics.capture.http import Fault, Request
from analytics.capture.limits import MAX_BATCH_EVENTS
from analytics.contracts import Outcome, Verdict

STORED: Final = {"status": 1}
COMPRESSIONS: Final = ["gzip", "gzip-js"]
# Without `autocapture_opt_out` nothing is autocaptured; with `surveys`, even false, a script is fetched and not found.
CONFIG: Final = {"supportedCompression": COMPRESSIONS, "hasFeatureFlags": False, "autocapture_opt_out": False}
DEFINITIONS: Final[dict[str, Any]] = {"flags": [], "group_type_mapping": {}, "cohorts": {}}
TOKEN_NAMES: Final = ("token", "api_key", "$token")


class Delivery(msgspec.Struct, kw_only=True):
    """The messages of one request and what it says of them all."""

    token: str
    messages: list[Any]
    sent: Any = None
    is_historical: bool = False


def delivery(value: Any, request: Request, *, is_engage: bool = False) -> Delivery:
    """What a decoded body of the v0 endpoints holds. Raises `Fault` 401 for mixed keys, `UnreadableBody`."""
    envelope: Mapping[str, Any] = value if isinstance(value, dict) else {}
    if "batch" in envelope:
        messages = checked_batch(envelope["batch"])
    elif isinstance(value, list):
        messages = checked_batch(value)
    elif isinstance(value, dict):
        messages = [_engaged(value) if is_engage else value]
    else:
        raise UnreadableBody("the body is neither an object nor a list of events")
    return Delivery(
        token=_token(envelope, messages, request),
        messages=messages,
        sent=envelope.get("sent_at") or envelope.get("sentAt") or _clock(request.query.get("_")),
        is_historical=envelope.get("historical_migration") is True,
    )


def delivery_v1(value: Any, request: Request) -> Delivery:
    """What a decoded body of capture v1 holds; the key is in the header."""
    if not isinstance(value, dict):
        raise UnreadableBody("the body is no object")
    library = request.headers.get("posthog-sdk-info", "").partition("/")
    messages = [_flattened(message, library) for message in checked_batch(value.get("batch"))]
    return Delivery(
        token=request.bearer,
        messages=messages,
        sent=request.headers.get("posthog-request-timestamp"),
        is_historical=value.get("historical_migration") is True,
    )


def checked_batch(value: Any) -> list[Any]:
    """A list of messages of a bearable length."""
    if not isinstance(value, list):
        raise UnreadableBody("`batch` must be a list of events")
    if len(value) > MAX_BATCH_EVENTS:
        raise Fault(413, "batch_too_large", f"A batch may hold {MAX_BATCH_EVENTS} events; send smaller ones.")
    return value


def sent_text(delivery: Delivery) -> str | None:
    """The raw time of sending, as text."""
    return None if delivery.sent is None else str(delivery.sent)[:100]


def results_v1(messages: list[Any], verdicts: list[Verdict]) -> dict[str, Any]:
    """The answer of capture v1: what became of each uuid, as the client sent it."""
    results: dict[str, Any] = {}
    for message, verdict in zip(messages, verdicts, strict=True):
        uuid = message.get("uuid") if isinstance(message, dict) else None
        if isinstance(uuid, str):
            results[uuid] = _result_v1(verdict)
    return {"results": results}


def flags(*, version: str, with_config: bool) -> dict[str, Any]:
    """The answer to `/flags`: no flags."""
    answer: dict[str, Any] = {"flags": {}, "errorsWhileComputingFlags": False, "requestId": str(uuid4())}
    if version == "1":
        answer = {"featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False}
    return {**answer, **CONFIG} if with_config else answer


def decide() -> dict[str, Any]:
    """The answer to `/decide`, what old SDKs ask instead of `/flags`."""
    return {
        "featureFlags": {},
        "featureFlagPayloads": {},
        "errorsWhileComputingFlags": False,
        "supportedCompression": COMPRESSIONS,
        "sessionRecording": False,
        "siteApps": [],
        "toolbarParams": {},
        "isAuthenticated": False,
        "config": {"enable_collect_everything": True},
    }


def config_script(key: str) -> bytes:
    """The remote configuration as a script. `key` comes from the path, so the router admits only plain keys."""
    entry = msgspec.json.encode({"config": CONFIG, "siteApps": []}).decode()
    script = (
        "(function(){window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};"
        f"window._POSTHOG_REMOTE_CONFIG[{msgspec.json.encode(key).decode()}]={entry};}})();"
    )
    return script.encode()


def _token(envelope: Mapping[str, Any], messages: list[Any], request: Request) -> str:
    """The one key of a request, taken out of the events so that it is not stored."""
    tokens = {envelope[name] for name in TOKEN_NAMES if isinstance(envelope.get(name), str)}
    for message in messages:
        if type(message) is not dict:
            continue
        properties = message.get("properties")
        inner = properties.pop("token", None) if type(properties) is dict else None
        for token in (message.get("token"), message.get("api_key"), message.get("$token"), inner):
            if token is not None and token not in tokens:
                tokens.add(str(token))
    tokens.discard("")
    if len(tokens) > 1:
        raise Fault(401, "mixed_api_keys", "One request carries events of several API keys; send them apart.")
    return tokens.pop() if tokens else request.bearer or request.query.get("api_key") or request.query.get("token", "")


def _engaged(message: dict[str, Any]) -> dict[str, Any]:
    return message if message.get("event") else {**message, "event": "$identify"}


def _flattened(message: Any, library: tuple[str, str, str]) -> Any:
    """A v1 event with its options and ids where v0 has them."""
    if not isinstance(message, dict):
        return message
    told = message.get("properties")
    properties = dict(told) if isinstance(told, dict) else {}
    options = message.get("options")
    if isinstance(options, dict):
        if options.get("process_person_profile") is not None:
            properties["$process_person_profile"] = options["process_person_profile"]
        if options.get("disable_skew_correction"):
            properties["$ignore_sent_at"] = True
    for name in ("session_id", "window_id"):
        if message.get(name) is not None:
            properties.setdefault(f"${name}", message[name])
    if library[0]:
        properties.setdefault("$lib", library[0])
        properties.setdefault("$lib_version", library[2])
    return {**message, "properties": properties}


def _result_v1(verdict: Verdict) -> dict[str, str]:
    if verdict.outcome in (Outcome.STORED, Outcome.DUPLICATE):
        return {"result": "ok"}
    kept = verdict.outcome is not Outcome.REJECTED
    return {"result": "warning" if kept else "drop", "details": verdict.detail or verdict.reason}


def _clock(milliseconds: str | None) -> float | None:
    """The `_` parameter: the client's clock at sending. A small number is no clock but a counter against caches."""
    if milliseconds is None or not milliseconds.isdecimal() or len(milliseconds) > 16:
        return None
    number = int(milliseconds)
    return number if instant(number) is not None and number > 1_000_000_000_000 else None
