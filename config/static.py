"""Which static files are collected: of ECharts only the one file that pages load, and no source maps."""

from __future__ import annotations

from django.contrib.staticfiles.apps import StaticFilesConfig as Stock
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesConfig(Stock):
    """ECharts brings 50 MB of builds; hashing and compressing all of them would take longer than the set-up."""

    ignore_patterns = [
        *Stock.ignore_patterns,
        "*.map",
        "extension",
        "echarts.js",
        "echarts.min.js",
        "echarts.common.js",
        "echarts.esm*",
        "echarts.simple*",
        "package.json",
    ]


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Names carry a hash of the content, imports between modules included, so browsers keep files for ever.

    A file that was never collected keeps its plain name: pages then work where nothing was collected, as in tests.
    """

    manifest_strict = False
    # Ours and stylesheets only: searching the bundles of others takes seconds, and their source maps are left out.
    patterns = (
        ("*.css", CompressedManifestStaticFilesStorage.patterns[0][1][:2]),
        ("bellwether/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )

    def stored_name(self, name: str) -> str:
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name
