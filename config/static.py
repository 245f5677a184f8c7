"""Which static files are collected: of ECharts only the one file that pages load, and no source maps."""

from __future__ import annotations

from django.contrib.staticfiles.apps import StaticFilesConfig as Stock


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
