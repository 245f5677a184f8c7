"""What is wrong with a goal or an objective that somebody writes."""

from __future__ import annotations


class GoalError(ValueError):
    """It cannot be saved; `field` names what to change."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field
