"""Signing in and out. Guesses are limited by address and by name, as at the API's door."""

from __future__ import annotations

import math
from typing import Any

from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse

from analytics.access.throttles import gcra, login_limits


class LoginView(auth.LoginView):
    """The page at /login/."""

    template_name = "reports/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        decision = gcra().take(login_limits(request, request.POST.get("username", "")))
        if decision.is_allowed:
            return super().post(request, *args, **kwargs)
        return self._wait(math.ceil(decision.wait))

    def _wait(self, seconds: int) -> HttpResponse:
        form = self.get_form_class()(request=self.request)  # not the sent one: looking at its errors would try it
        context = self.get_context_data(form=form, wait=seconds)
        response = self.render_to_response(context, status=429, headers={"Retry-After": str(seconds)})
        return response.render() if hasattr(response, "render") else response


class LogoutView(auth.LogoutView):
    """POST /logout/ ends the session."""

    next_page = "dashboard:login"
