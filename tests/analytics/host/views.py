"""What the host's pages do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.generic import View

from analytics.capture.texts import sentiment_text
from analytics.capture.tracking import track


def page(request: HttpRequest, number: int = 0) -> HttpResponse:
    """A page."""
    return HttpResponse(f"<p>{number}</p>")


def profile(request: HttpRequest) -> HttpResponse:
    """A page that looks who is signed in, and tracks."""
    _ = request.user.is_authenticated
    track("profile_opened")
    return HttpResponse("profile")


async def later(request: HttpRequest) -> JsonResponse:
    """An async view."""
    track("later_called", properties={"way": "async"})
    return JsonResponse({"ok": True})


@sentiment_text("comment")
def review(request: HttpRequest) -> HttpResponse:
    """Takes a form with a comment."""
    return HttpResponse(str(len(request.POST.get("comment", ""))))


@sentiment_text("body")
class Message(View):
    """Takes JSON with a body."""

    def post(self, request: HttpRequest) -> JsonResponse:
        """Reads it."""
        return JsonResponse({"size": len(request.body)})


def broken(request: HttpRequest) -> HttpResponse:
    """Fails."""
    raise ZeroDivisionError


def users(request: HttpRequest) -> JsonResponse:
    """Uses the database."""
    return JsonResponse({"users": get_user_model().objects.count()})


urlpatterns: list[Any] = [
    path("orders/<int:number>/", page),
    path("", page),
    path("profile/", profile),
    path("later/", later),
    path("review/", review),
    path("message/", Message.as_view()),
    path("broken/", broken),
    path("users/", users),
    path("static/logo.svg", page),
]
