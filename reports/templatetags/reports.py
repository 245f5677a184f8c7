"""What templates of pages may ask for themselves."""

from __future__ import annotations

from typing import Any

from django import template

from reports.dashboard.first_steps import FirstSteps
from reports.dashboard.first_steps import first_steps as steps_of

register = template.Library()


@register.simple_tag(takes_context=True)
def first_steps(context: dict[str, Any]) -> FirstSteps:
    """What to do before there are numbers."""
    return steps_of(context["request"])
