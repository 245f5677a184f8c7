"""The ASGI application that a web server loads."""

from __future__ import annotations

import gc
import os
from importlib import import_module

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

django_app = get_wsgi_application()

from config.boot import allow_many_sockets, refuse_unbound_roles  # noqa: E402 — they need the apps of the line above
from config.port import port  # noqa: E402

refuse_unbound_roles()
allow_many_sockets()
application = port(django_app)

# Django would load its views for the first visitor, who waited seconds for it, and with him all that came meanwhile.
import_module(settings.ROOT_URLCONF)

# The code and models loaded so far never become garbage, and looking through all of them again took a tenth of a second
# of every answer under way. What requests make is short-lived: a rarer look finds as much.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
