"""For the tests of host projects: what was told, without storing it.

from analytics.testing import tracked          # in conftest.py

def test_sign_up(client, tracked):
    client.post("/sign-up/", {...})
    assert tracked.has("signed_up", plan="pro")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from analytics.capture.recording import tape


class Tracked:
    """The messages told so far, as they were told: `event`, `distinct_id`, `properties`."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages

    @property
    def names(self) -> list[str]:
        """Event names in the order they were told."""
        return [message["event"] for message in self.messages]

    def of(self, event: str, **properties: Any) -> list[dict[str, Any]]:
        """The messages of an event that have at least these properties; `user` means the distinct id."""
        return [message for message in self.messages if message["event"] == event and _fits(message, properties)]

    def has(self, event: str, **properties: Any) -> bool:
        """Whether such an event was told at least once."""
        return bool(self.of(event, **properties))


@pytest.fixture
def tracked() -> Iterator[Tracked]:
    """Records every event of the test's process instead of storing it."""
    with tape() as messages:
        yield Tracked(messages)


def _fits(message: dict[str, Any], wanted: dict[str, Any]) -> bool:
    told = {**message["properties"], "user": message["distinct_id"]}
    return all(name in told and told[name] == value for name, value in wanted.items())
