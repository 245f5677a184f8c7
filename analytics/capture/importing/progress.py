"""How far an import is: a bar on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import time
from typing import TextIO

WIDTH = 32
BAR_SECONDS = 0.1
LINE_SECONDS = 5.0


class Progress:
    """Says nothing; the base of those that do."""

    def begin(self, what: str, total: int) -> None:
        """A new stage with this many lines, about."""

    def reach(self, line: int) -> None:
        """The stage has come to this line."""

    def end(self) -> None:
        """The stage is over."""


class ShownProgress(Progress):
    """Draws to a stream. `is_terminal` decides between a bar that moves and plain lines that can be logged."""

    def __init__(self, stream: TextIO, *, is_terminal: bool | None = None) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() if is_terminal is None else is_terminal
        self._pause = BAR_SECONDS if self._is_terminal else LINE_SECONDS
        self._what, self._total, self._line, self._begun, self._next = "", 0, 0, 0.0, 0.0

    def begin(self, what: str, total: int) -> None:
        self._what, self._total, self._line = what, max(total, 1), 0
        self._begun = time.monotonic()
        self._next = self._begun + self._pause

    def reach(self, line: int) -> None:
        self._line = line
        # Asking the clock for every line would cost more than reading some of them.
        if line % 256 == 0 and time.monotonic() >= self._next:
            self._draw()
            self._next = time.monotonic() + self._pause

    def end(self) -> None:
        if self._is_terminal:
            self._draw()
            self._stream.write("\n")
        self._stream.flush()

    def _draw(self) -> None:
        seconds = max(time.monotonic() - self._begun, 0.001)
        share = min(self._line / self._total, 1.0)
        text = f"{self._what} {share:4.0%}  line {self._line:,} of about {self._total:,}, {self._line / seconds:,.0f}/s"
        if self._is_terminal:
            filled = round(share * WIDTH)
            self._stream.write(f"\r{'█' * filled}{'░' * (WIDTH - filled)} {text}\x1b[K")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
