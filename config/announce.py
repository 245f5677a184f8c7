"""Waits until the product answers, then says where it is and how to get in.

python -m config.announce SECONDS_SINCE_EPOCH_OF_START
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from config.embedded import default_home

PATIENCE_SECONDS = 90.0


def is_ready(url: str) -> bool:
    """Does /health/ready say 200?"""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5):  # noqa: S310 - our own address
            return True
    except (OSError, urllib.error.HTTPError):
        return False


def banner(known: dict[str, str], *, is_first: bool, seconds: float) -> str:
    """The last words of `bin/up`; secrets are shown at the first start only."""
    url = known["url"]
    lines = [
        f"Bellwether is ready after {seconds:.0f} s at {url}/",
        f"  admin     {url}/admin/   user {known['admin_user']}",
    ]
    if is_first:
        lines += [f"  password  {known['admin_password']}   (shown once; change it in the admin)"]
        lines += [
            f"  tenant    {known['tenant']}",
            f"  write key {known['pk']}",
            f"  API key   {known['sk']}   (both shown once)",
        ]
    return "\n".join(lines)


def main() -> None:
    home, begun = default_home(), float(sys.argv[1])
    path, shown = home / "credentials.json", home / "credentials.shown"
    known: dict[str, str] = json.loads(path.read_text())
    deadline, parent = time.monotonic() + PATIENCE_SECONDS, os.getppid()
    while not is_ready(known["url"]):
        if os.getppid() != parent:
            return  # whoever started it was killed: there is nobody to tell
        if time.monotonic() > deadline:
            sys.exit(
                f"No answer from {known['url']}/health/ready within {PATIENCE_SECONDS:.0f} s; the lines above say why."
            )
        time.sleep(0.2)
    is_first = not shown.exists() or shown.read_text() != _mark(path)
    print("\n" + banner(known, is_first=is_first, seconds=time.time() - begun), flush=True)
    print(f"  all of it {path} (mode {stat.S_IMODE(path.stat().st_mode):o})   Ctrl-C stops everything", flush=True)
    shown.write_text(_mark(path))


def _mark(path: Path) -> str:
    """Changes when keys or password do, and tells nothing about them."""
    known = json.loads(path.read_text())
    return hashlib.sha256((known["sk"] + known["admin_password"]).encode()).hexdigest()


if __name__ == "__main__":
    main()
