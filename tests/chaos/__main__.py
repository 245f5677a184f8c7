"""Runs chaos from the command line; ends with 1 when a promise was broken."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from tests.chaos.deploys import Deploys, deploys_run
from tests.chaos.harness import Plan, chaos_run
from tests.chaos.mutants import MUTANTS, mutant_run
from tests.chaos.nemesis import KINDS
from tests.chaos.overload import Overload, overload_run
from tests.chaos.power.harness import PowerPlan, power_run
from tests.chaos.power.mutants import POWER_MUTANTS, power_mutant_run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--events", type=int, default=10**9, help="end the load after so many events")
    parser.add_argument("--kills", type=int, default=2, help="SIGKILLs of each kind of process")
    parser.add_argument("--freezes", type=int, default=1, help="SIGSTOPs of each kind of process")
    parser.add_argument("--freeze-seconds", type=float, default=2.0)
    parser.add_argument("--flushes", type=int, default=2, help="FLUSHALLs of Redis")
    parser.add_argument("--kill", default=",".join(KINDS), help="kinds of processes to hurt")
    parser.add_argument(
        "--mutants",
        nargs="*",
        choices=[*MUTANTS, *POWER_MUTANTS],
        help="run broken products instead (all, or these); each must be caught",
    )
    parser.add_argument(
        "--power-loss",
        type=int,
        metavar="CYCLES",
        help="lose power so often, on a disk that forgets what was not fsynced (as root, with /dev/fuse); with "
        "--mutants the products that forget to fsync",
    )
    parser.add_argument("--home", type=Path, help="keep the product's home and logs here")
    parser.add_argument("--reloads", type=int, help="hurt nothing: replace every process so often under load")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second while processes are replaced")
    parser.add_argument(
        "--overload",
        type=float,
        metavar="SECONDS",
        help="hurt nothing: more load than the machine carries, so long in each of three phases",
    )
    parser.add_argument("--noisy", type=float, default=50.0, help="the noisy tenant's load in those of a quiet one")
    parser.add_argument("--noisy-batch", type=int, default=100, help="events of one of its requests")
    parser.add_argument("--noisy-connections", type=int, default=128)
    parser.add_argument("--quiet-rate", type=float, default=500.0, help="events a second of each quiet tenant")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bw-chaos-") as folder:
        home = options.home or Path(folder) / "home"
        if options.power_loss is not None:
            Path(folder).chmod(0o711)
        if options.mutants is not None:
            if options.power_loss is not None:
                results = {
                    name: power_mutant_run(name, home / name, seed=options.seed, cycles=options.power_loss)
                    for name in options.mutants or POWER_MUTANTS
                }
            else:
                results = {name: mutant_run(name, home / name) for name in options.mutants or MUTANTS}
            told = {name: {key: result[key] for key in ("caught", "breaches")} for name, result in results.items()}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.exit(0 if all(result["caught"] for result in results.values()) else 1)
        if options.power_loss is not None:
            _tell(power_run(PowerPlan(cycles=options.power_loss, seed=options.seed), home))
        if options.reloads:
            deploys = Deploys(seed=options.seed, reloads=options.reloads, rate=options.rate, clients=options.clients)
            _tell(deploys_run(deploys, home))
        if options.overload:
            Path(folder).chmod(0o711)
            overload = Overload(
                seed=options.seed,
                seconds=options.overload,
                noisy=options.noisy,
                rate=options.quiet_rate,
                noisy_batch=options.noisy_batch,
                noisy_connections=options.noisy_connections,
            )
            _tell(overload_run(overload, home))
        plan = Plan(
            seed=options.seed,
            seconds=options.seconds,
            clients=options.clients,
            events=options.events,
            kills=options.kills,
            freezes=options.freezes,
            freeze_seconds=options.freeze_seconds,
            flushes=options.flushes,
            kinds=tuple(options.kill.split(",")),
        )
        _tell(chaos_run(plan, home))


def _tell(result: dict[str, Any]) -> NoReturn:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(1 if result["breaches"] else 0)


if __name__ == "__main__":
    main()
