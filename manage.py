#!/usr/bin/env python
"""Runs Bellwether's management commands."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed for this Python; bin/up made one that has it: .venv/bin/python manage.py …")
    execute_from_command_line(sys.argv)
