"""Connections of a web process that is being replaced: one more answer each, instead of a door that falls shut.

uvicorn closes idle connections the moment its process is told to end. A request that is under way to it just then gets
no answer, and most HTTP clients do not send a POST again by themselves.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS: Final = 1.0


class Lingering(HttpToolsProtocol):
    """uvicorn's connection, which when idle stays for another second; its next answer says `Connection: close`."""

    is_leaving: ClassVar[bool] = False
    """True once the process was told to end: then also for connections that it had only just accepted."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.is_leaving:
            self._linger()

    def shutdown(self) -> None:
        Lingering.is_leaving = True
        if self._is_busy() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self._linger()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.is_leaving and self._is_busy():
            self.cycle.keep_alive = False

    def _linger(self) -> None:
        self.loop.call_later(LINGER_SECONDS, self._leave)

    def _leave(self) -> None:
        if not self._is_busy():
            self.transport.close()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
