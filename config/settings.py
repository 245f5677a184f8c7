"""All settings, read from the environment. `.env.example` lists every variable with its meaning.

Without DATABASE_URL and REDIS_URL the embedded services of `config/embedded.py` are used: their addresses and
secrets follow from BELLWETHER_HOME, and nothing is started by reading this file.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.smart_cast = False
if (BASE_DIR / ".env").exists():
    environ.Env.read_env(str(BASE_DIR / ".env"))

BELLWETHER_HOME = Path(env.str("BELLWETHER_HOME", default=str(BASE_DIR / "var"))).resolve()
os.environ.setdefault("NUMBA_CACHE_DIR", str(BELLWETHER_HOME / "compiled"))  # read by it when it is imported
BELLWETHER_SHARED = Path(env.str("BELLWETHER_SHARED", default=str(BASE_DIR.parent / "shared")))


def _embedded() -> dict[str, str]:
    """Addresses and secrets of the embedded services, for whatever the environment leaves out."""
    if env.str("DATABASE_URL", default="") and env.str("REDIS_URL", default="") and env.str("SECRET_KEY", default=""):
        return {}
    from config import embedded

    return {**embedded.urls(BELLWETHER_HOME), **embedded.secrets(BELLWETHER_HOME)}


_fallback = _embedded()


def _setting(name: str) -> str:
    """The variable, else the embedded value; a clear error when there is neither."""
    value: str = env.str(name, default="") or _fallback.get(name, "")
    if not value:
        raise environ.ImproperlyConfigured(f"Set {name} in the environment (see .env.example).")
    return value


# --- Web -------------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = _setting("SECRET_KEY")
FIELD_ENCRYPTION_KEY = _setting("FIELD_ENCRYPTION_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
WEB_THREADS = env.int("WEB_THREADS", default=8)  # of Django, in each web process; each holds a connection
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "config.static.StaticFilesConfig",
    "django_htmx",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "analytics.apps.AnalyticsConfig",
    "kpis.apps.KpisConfig",
    "insights.apps.InsightsConfig",
    "alerts.apps.AlertsConfig",
    "reports.apps.ReportsConfig",
    "config.apps.BellwetherConfig",
]

MIDDLEWARE = [
    "config.telemetry.TelemetryMiddleware",
    "analytics.access.middleware.RequestIdMiddleware",
    "config.allowed.AllowListMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "analytics.access.middleware.AdminTenantMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "reports.dashboard.context.page",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATIC_ROOT = BELLWETHER_HOME / "static"
NODE_MODULES = BASE_DIR / "node_modules"  # `npm ci` fills it: bin/up and bin/test see to that
STATICFILES_DIRS = [("echarts", NODE_MODULES / "echarts" / "dist")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static.HashedStorage"},
}

LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"  # Tenants have their own zones; the process itself never rounds by this one.

# --- Security --------------------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("COOKIE_SECURE", default=False)
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=0)
# The proxy that ends TLS redirects plain HTTP and speaks for its subdomains; Bellwether answers on loopback behind it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "reports.dashboard.problems.csrf_failed"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

# --- Databases: four roles on one database (RLS binds all but the owner's migrations) -------------------------------
_DATABASE_URL = _setting("DATABASE_URL")


def _database(name: str, *, required: bool = False) -> dict[str, Any]:
    url = _setting(name) if required else env.str(name, default="") or _fallback.get(name, "") or _DATABASE_URL
    config: dict[str, Any] = environ.Env.db_url_config(url)
    config["HOST"] = unquote(config.get("HOST") or "")  # a socket folder is written %2Frun%2Fpostgresql in a URL
    config["CONN_MAX_AGE"] = 60
    config["CONN_HEALTH_CHECKS"] = True
    config.setdefault("OPTIONS", {})
    config["OPTIONS"].setdefault("connect_timeout", 5)
    config["OPTIONS"].setdefault("application_name", f"bellwether-{name.removeprefix('DATABASE_').lower()}")
    return config


DATABASES: dict[str, dict[str, Any]] = {
    "default": _database("DATABASE_URL", required=True),
    "owner": _database("DATABASE_OWNER_URL"),
    "ingest": _database("DATABASE_INGEST_URL"),
    "erasure": _database("DATABASE_ERASURE_URL"),
}
DATABASE_ADMIN_URL = env.str("DATABASE_ADMIN_URL", default="")  # for backup and restore alone; nothing else reads it

# Below a second, so that no event waits longer for a migration that waits for a table. From 1000 on PostgreSQL also
# ends an autovacuum that is in the way.
MIGRATE_LOCK_TIMEOUT_MS = env.int("MIGRATE_LOCK_TIMEOUT_MS", default=900)

# --- Redis and Celery: doorbells and caches only, nothing that may not be lost ---------------------------------------
REDIS_URL = _setting("REDIS_URL")
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or REDIS_URL.replace("unix://", "redis+socket://")
CELERY_RESULT_BACKEND = env.str("CELERY_RESULT_BACKEND", default="") or None
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Answers that are remembered (analytics/cache) -----------------------------------------------------------------
CACHE_ENABLED = env.bool("CACHE_ENABLED", default=True)
CACHE_PROCESS_BYTES = env.int("CACHE_PROCESS_BYTES", default=16 * 1024 * 1024)  # of memory, in each process

# --- API -------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "analytics.access.authentication.ApiKeyAuthentication",
        "analytics.access.authentication.TenantJWTAuthentication",
        "analytics.access.authentication.TenantSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["analytics.access.permissions.TenantPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["analytics.access.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "config.api_schema.Operation",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["analytics.access.throttles.TenantThrottle"],
    "EXCEPTION_HANDLER": "config.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "HS256",
    # A key of its own, so that nothing else that SECRET_KEY signs can be mistaken for a token.
    "SIGNING_KEY": hashlib.sha256(b"bellwether.jwt:" + SECRET_KEY.encode()).hexdigest(),
    "ISSUER": "bellwether",
    "AUDIENCE": "bellwether-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Bellwether",
    "VERSION": "v1",  # of the paths; its words, areas and examples are in config/api_words.py and api_examples.py
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_AUTHENTICATION": [],  # the description of the API is no secret
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api_schema.describe_api",
        "config.api_schema.describe_keys",
        "config.api_schema.describe_examples",
        "config.api_schema.describe_problems",
    ],
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "docExpansion": "none",
        "filter": True,
        "persistAuthorization": True,
    },
    "ENUM_NAME_OVERRIDES": {
        "MetricKindEnum": [("kpi", "kpi"), ("kri", "kri"), ("kr", "kr")],
        "ApiKeyKindEnum": "analytics.models.tenants.ApiKey.Kind",
        "JobRequestKindEnum": [("rollup", "rollup"), ("backfill", "backfill")],
        "MetricStatusEnum": [(word, word) for word in ("ok", "warning", "critical", "unknown")],
        "MetricUnitEnum": [
            (word, word) for word in ("count", "money", "ratio", "duration", "number", "percentage_points")
        ],
        "CohortUnitEnum": [(word, word) for word in ("day", "week", "month")],
        "AnnotationKindEnum": "kpis.models.Annotation.Kind",
        "GoalStatusEnum": [
            (word, word) for word in ("upcoming", "on_track", "at_risk", "off_track", "reached", "missed", "unknown")
        ],
    },
}

# --- Analytics -------------------------------------------------------------------------------------------------------
ANALYTICS_ENABLED = env.bool("ANALYTICS_ENABLED", default=True)
ANALYTICS_TENANT = env.str("ANALYTICS_TENANT", default="")
ANALYTICS_BATCH_SIZE = env.int("ANALYTICS_BATCH_SIZE", default=5000)
ANALYTICS_RETENTION_DAYS = env.int("ANALYTICS_RETENTION_DAYS", default=0)
ANALYTICS_RETENTION_PROFILES = env.bool("ANALYTICS_RETENTION_PROFILES", default=True)
# The log of erasures: keyed digests of whoever was erased, for restores of older backups.
ANALYTICS_ERASED_LOG = env.str("ANALYTICS_ERASED_LOG", default="") or str(BELLWETHER_HOME / "erased.jsonl")
# The lake: a local folder or an address of fsspec such as s3://bucket/prefix; and who answers questions about it.
ANALYTICS_LAKE_URL = env.str("ANALYTICS_LAKE_URL", default="") or str(BELLWETHER_HOME / "lake")
ANALYTICS_LAKE_CACHE_BYTES = env.int("ANALYTICS_LAKE_CACHE_BYTES", default=10 * 1024**3)
ANALYTICS_LAKE_GRACE_SECONDS = env.int("ANALYTICS_LAKE_GRACE_SECONDS", default=3600)
ANALYTICS_SEAL_WORKERS = env.int("ANALYTICS_SEAL_WORKERS", default=0) or min(4, os.cpu_count() or 1)
ANALYTICS_ENGINE = env.str("ANALYTICS_ENGINE", default="duckdb")
ANALYTICS_ENGINE_MEMORY = env.str("ANALYTICS_ENGINE_MEMORY", default="1GB")
ANALYTICS_ENGINE_THREADS = env.int("ANALYTICS_ENGINE_THREADS", default=0) or min(4, os.cpu_count() or 1)
ANALYTICS_ENGINE_TIMEOUT = env.float("ANALYTICS_ENGINE_TIMEOUT", default=60.0)
ANALYTICS_SPOOL_MAX_BYTES = env.int("ANALYTICS_SPOOL_MAX_BYTES", default=256 * 1024 * 1024)
ANALYTICS_EXCLUDE_PATHS = env.list("ANALYTICS_EXCLUDE_PATHS", default=["/static/", "/health/", "/metrics"])
ANALYTICS_SAMPLE_RATE = env.float("ANALYTICS_SAMPLE_RATE", default=1.0)
CAPTURE_BODY_BYTES = env.int("CAPTURE_BODY_BYTES", default=32 * 1024 * 1024)
CAPTURE_WINDOW_EVENTS = env.int("CAPTURE_WINDOW_EVENTS", default=1000)
ANALYTICS_BOT_EVENTS_PER_MINUTE = env.int("ANALYTICS_BOT_EVENTS_PER_MINUTE", default=300)
ANALYTICS_BOT_NETWORKS = env.str("ANALYTICS_BOT_NETWORKS", default="")
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
API_RATE_PER_MINUTE = env.int("API_RATE_PER_MINUTE", default=6000)
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=1024**3)  # of one file sent to the API
POSTHOG_API_KEY = env.str("POSTHOG_API_KEY", default="")
POSTHOG_HOST = env.str("POSTHOG_HOST", default="https://us.i.posthog.com")

# --- Operation -------------------------------------------------------------------------------------------------------
IP_ALLOWLIST = env.list("IP_ALLOWLIST", default=[])
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
SLOW_QUERY_MS = env.int("SLOW_QUERY_MS", default=500)
SENTRY_DSN = env.str("SENTRY_DSN", default="")
LOG_FORMAT = env.str("LOG_FORMAT", default="plain")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "config.logs.PlainFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "config.logs.JsonFormatter"},
    },
    "filters": {"refusals": {"()": "config.logs.Refusals"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["refusals"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # Every answer is a line where machines read; people who watch a console want the odd ones only.
        "bellwether.requests": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
        # So is every slow statement; the admin lists them, and on a first start some are slow because all is cold.
        "bellwether.slow": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": False},  # it writes queries, which may hold anything
    },
}
