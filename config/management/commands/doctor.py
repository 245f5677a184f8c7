"""Look the installation over, and say how to mend what is wrong."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.registry import UnknownName
from config.doctor import Finding, Result, examine

MARKS = {"ok": "ok  ", "warning": "warn", "error": "FAIL"}


class Command(BaseCommand):
    help = "Look the installation over and say of each problem how to mend it. Exit 1 when there is an error."
    requires_system_checks = ()  # it has to run where they fail

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--only", nargs="+", default=[], metavar="CHECK", help="run these checks only")
        parser.add_argument("--fix", action="store_true", help="list what can be mended safely by itself")
        parser.add_argument("--yes", action="store_true", help="with --fix: do it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            results = examine(now=timezone.now(), only=options["only"])
        except UnknownName as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(as_json(results), indent=1))
        else:
            self._print(results)
        if options["fix"]:
            results = self._mend(results, options)
        if any(result.state == "error" for result in results):
            raise SystemExit(1)

    def _print(self, results: list[Result]) -> None:
        for result in results:
            self.stdout.write(f"{MARKS[result.state]}  {result.check.title} ({result.check.id})")
            for finding in result.findings:
                self.stdout.write(f"      {finding.problem}\n      -> {finding.fix}")

    def _mend(self, results: list[Result], options: dict[str, Any]) -> list[Result]:
        """The results after mending (the same ones as a dry run)."""
        found = [(result, each) for result in results for each in result.findings if each.repair is not None]
        if not options["yes"]:
            for result, each in found:
                self.stderr.write(f"would mend {result.check.id}: {each.problem}")
            self.stderr.write("Nothing was changed; --fix --yes does it." if found else "Nothing here mends by itself.")
            return results
        for result, each in found:
            self.stderr.write(f"{result.check.id}: {_mended(each)}")
        again = {result.check.id: result for result in examine(now=timezone.now(), only=[r.check.id for r, _ in found])}
        return [again.get(result.check.id, result) for result in results] if found else results


def _mended(finding: Finding) -> str:
    assert finding.repair is not None
    try:
        return finding.repair()
    except Exception as error:
        return f"could not be mended ({type(error).__name__}): {finding.fix}"


def as_json(results: list[Result]) -> dict[str, Any]:
    """The report for machines."""
    return {
        "errors": sum(result.state == "error" for result in results),
        "warnings": sum(result.state == "warning" for result in results),
        "checks": [
            {
                "check": result.check.id,
                "title": result.check.title,
                "state": result.state,
                "findings": [
                    {"level": each.level, "problem": each.problem, "fix": each.fix, "can_mend": each.repair is not None}
                    for each in result.findings
                ],
            }
            for result in results
        ],
    }
