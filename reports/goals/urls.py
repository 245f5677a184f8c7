"""Addresses of goals."""

from __future__ import annotations

from django.urls import path

from reports.goals import objectives
from reports.goals import pages as screens

pages = [
    path("goals/", screens.goals, name="goals"),
    path("goals/new/", screens.new, name="goal-new"),
    path("goals/<uuid:goal_id>/", screens.goal, name="goal"),
    path("goals/<uuid:goal_id>/edit/", screens.edit, name="goal-edit"),
    path("goals/<uuid:goal_id>/check-in/", screens.check_in, name="goal-check-in"),
    path("goals/<uuid:goal_id>/archive/", screens.archive, name="goal-archive"),
    path("goals/objectives/new/", objectives.new, name="objective-new"),
    path("goals/objectives/<uuid:objective_id>/", objectives.objective, name="objective"),
    path("goals/objectives/<uuid:objective_id>/edit/", objectives.edit, name="objective-edit"),
    path("goals/objectives/<uuid:objective_id>/archive/", objectives.archive, name="objective-archive"),
]
