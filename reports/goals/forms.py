"""What people write of goals; the services say what is wrong with it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django import forms

from analytics.filters import LATEST
from kpis.goals.contracts import GoalView, ObjectiveView, Shape
from kpis.goals.models import Period

FIELDS = (
    "name", "metric", "target", "period", "first", "last", "shape", "baseline", "stretch", "owner", "objective",
    "weight",
)  # fmt: skip
SHAPES = {
    Shape.LINEAR: "Evenly over the days",
    Shape.SEASONAL: "As the metric's own past is spread",
    Shape.STEP: "All of it from the first day",
}
DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class GoalForm(forms.Form):
    """A goal. `last` is its last day, which only periods of one's own need."""

    name = forms.CharField(
        max_length=200, label="Name", widget=forms.TextInput(attrs={"placeholder": "A good November"})
    )
    metric = forms.CharField(
        max_length=100, label="Metric", widget=forms.TextInput(attrs={"list": "metric-list", "autocomplete": "off"})
    )
    target = forms.DecimalField(max_digits=26, decimal_places=6, label="Target")
    period = forms.ChoiceField(choices=Period.choices, label="Period")
    first = forms.DateField(label="First day (any day of the period)", widget=DATE)
    last = forms.DateField(label="Last day (own periods only)", required=False, widget=DATE)
    shape = forms.ChoiceField(
        choices=[(shape.value, text) for shape, text in SHAPES.items()], label="How it should come in"
    )
    baseline = forms.DecimalField(max_digits=26, decimal_places=6, label="Starting from (optional)", required=False)
    stretch = forms.DecimalField(max_digits=26, decimal_places=6, label="Stretch target (optional)", required=False)
    owner = forms.CharField(max_length=200, label="Owner (optional)", required=False)
    objective = forms.CharField(
        max_length=200,
        label="Objective it belongs to (optional; what is not there is made)",
        required=False,
        widget=forms.TextInput(attrs={"list": "objective-list", "autocomplete": "off"}),
    )
    weight = forms.DecimalField(
        max_digits=6, decimal_places=2, min_value=0, max_value=1000, label="Weight in its objective", required=False
    )
    note = forms.CharField(
        max_length=4000, label="Note (optional)", required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    def clean_last(self) -> date | None:
        """The day after it, where the goal ends, has to be a day too."""
        last: date | None = self.cleaned_data["last"]
        if last is not None and last.year >= LATEST.year:
            raise forms.ValidationError(f"The last day lies before the year {LATEST.year}.")
        return last

    def clean_weight(self) -> Decimal:
        """One where nothing is said."""
        weight: Decimal | None = self.cleaned_data["weight"]
        return Decimal(1) if weight is None else weight


class ObjectiveForm(forms.Form):
    """An objective. `last` is its last day, which only periods of one's own need."""

    name = forms.CharField(
        max_length=200, label="Name", widget=forms.TextInput(attrs={"placeholder": "People come back"})
    )
    period = forms.ChoiceField(choices=Period.choices, label="Period", initial=Period.QUARTER)
    first = forms.DateField(label="First day (any day of the period)", widget=DATE)
    last = forms.DateField(label="Last day (own periods only)", required=False, widget=DATE)
    owner = forms.CharField(max_length=200, label="Owner (optional)", required=False)
    note = forms.CharField(
        max_length=4000, label="What it is for (optional)", required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    clean_last = GoalForm.clean_last


class CheckInForm(forms.Form):
    """How sure somebody is, in percent."""

    confidence = forms.IntegerField(min_value=0, max_value=100, label="How sure are you, in percent?")
    note = forms.CharField(max_length=4000, label="Why?", required=False, widget=forms.Textarea(attrs={"rows": 2}))


def initial_of(goal: GoalView) -> dict[str, Any]:
    """A goal as its form shows it."""
    found = {name: getattr(goal, name) for name in (*FIELDS, "note") if name != "last"}
    return {**found, "last": goal.end - timedelta(days=1)}


def initial_of_objective(objective: ObjectiveView) -> dict[str, Any]:
    """An objective as its form shows it."""
    found = {name: getattr(objective, name) for name in ("name", "period", "first", "owner", "note")}
    return {**found, "last": objective.end - timedelta(days=1)}
