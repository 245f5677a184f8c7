"""All that a host project has to set."""

from __future__ import annotations

import os
from typing import Any

import environ

SECRET_KEY = "the host's own"
FIELD_ENCRYPTION_KEY = os.environ["FIELD_ENCRYPTION_KEY"]
DATABASES: dict[str, dict[str, Any]] = {
    "default": environ.Env.db_url_config(os.environ["DATABASE_URL"]),
    "ingest": environ.Env.db_url_config(os.environ["DATABASE_INGEST_URL"]),
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "analytics.apps.AnalyticsConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "analytics.capture.middleware.AnalyticsMiddleware",
]
ROOT_URLCONF = "tests.analytics.host.views"
ALLOWED_HOSTS = ["testserver"]
ANALYTICS_TENANT = "acme"
ANALYTICS_SPOOL_DIR = os.environ["ANALYTICS_SPOOL_DIR"]
