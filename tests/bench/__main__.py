"""`python -m tests.bench [settle | policy | reconcile | beside | lookups]`: on a cluster of its own, ends with JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from deploy.local.cluster import INFRASTRUCTURE, Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.keys import TokenMaker
from shared.settings import SERVICES, Settings
from tests.bench import beside, flow, imports, lookups, policy, reconcile, settle
from tests.bench.settle import Figures
from tests.bench.world import FACILITY, World, make_world

console = Console(stderr=True)

MEANING = {
    "settle_per_s": ("settlements a second, 20 lines each, over HTTP", ""),
    "pgbench_per_s": ("pgbench, the same rows, a transaction each", ""),
    "settle_ratio": ("ours / pgbench", "≥ 0.2"),
    "settle_p99_ms": ("p99 at 70 % of the peak, ms", "< 100"),
    "lonely_p50_ms": ("p50 of a lonely call, ms", "< 15"),
    "flow_per_s": ("bills a second, accepted to booked", "≥ 324"),
    "flow_lag_p99_ms": ("p99 of the lag, accepted to visible in the books, ms", "< 1000"),
    "import_per_s": ("persons imported a second", ""),
    "copy_per_s": ("bare COPY of the same rows, a second", ""),
    "import_ratio": ("ours / COPY", ""),
    "decisions_per_s": ("decisions a second and core: 20 lines, 3 layers, every step kept", "≥ 5000"),
    "recorded_per_s": ("the same, and the record written out as it is stored", ""),
    "pack_load_ms": ("a pack of 500 rules read, checked, compiled, ms", "< 200"),
    "replay_bills_per_s": ("bills replayed a second, with counters, two processes", "≥ 8334"),
    "replay_linearity": ("time a bill in the larger replay / in the smaller", ""),
    "bills": ("bills of one month that are matched", ""),
    "match_s": ("their match over HTTP, s", ""),
    "bare_s": ("COPY of the same file and one bare full join, s", ""),
    "match_ratio": ("match / (COPY + join)", "≤ 2"),
    "load_s": ("the file over HTTP until it is accepted, s", ""),
    "freeze_s": ("its numbers frozen and hashed, the books stand by decision, s", ""),
    "confirm_s": ("all parties confirm, s", ""),
    "net_s": ("cycles cut, netted and booked, s", ""),
    "orders_s": ("every position ordered, reviewed, approved and booked, s", ""),
    "close_s": ("the four together over HTTP, s", "< 60"),
    "settlement_mb": ("peak memory of the service meanwhile, MB", ""),
    "beside_close_s": ("a month closed over HTTP while discharges are settled, s", ""),
    "alone_per_s": ("settlements a second alone", ""),
    "beside_per_s": ("the same while a month is closed", ""),
    "beside_ratio": ("beside / alone", "≥ 0.667"),
    "alone_p99_ms": ("p99 at half of that rate alone, ms", ""),
    "beside_p99_ms": ("the same while a month is closed, ms", ""),
    "beside_p99_ratio": ("beside / alone", "≤ 2"),
    "lookup_bills": ("bills in the books of five years", ""),
    "bill_p50_ms_first": ("a bill by id after the first year, p50, ms", ""),
    "bill_p99_ms_first": ("the same, p99, ms", ""),
    "case_p50_ms_first": ("fifty bills of a case after the first year, p50, ms", ""),
    "case_p99_ms_first": ("the same, p99, ms", ""),
    "bill_p50_ms_last": ("a bill by id after the fifth year, p50, ms", ""),
    "bill_p99_ms_last": ("the same, p99, ms", ""),
    "case_p50_ms_last": ("fifty bills of a case after the fifth year, p50, ms", ""),
    "case_p99_ms_last": ("the same, p99, ms", ""),
    "start_s": ("start from an empty folder to all healthy, s", ""),
    "warm_start_s": ("second start, with its data, to all healthy, s", "≤ 20"),
    "resident_mb": ("resident memory of the whole cluster, MB", "≤ 1500"),
}


def main(arguments: list[str]) -> None:
    """Measure everything, or with `settle`, `policy` or `reconcile` those figures alone, each within a minute."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("what", nargs="?", choices=list(_MEASURED), default="all")
    parser.add_argument("--bills", type=int, default=1_000_000, help="how many bills are matched, or looked up")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sifang-bench-") as folder:
        figures = _MEASURED[chosen.what](Path(folder), chosen.bills)
    _show(figures)
    print(json.dumps(figures))


def _cluster(folder: Path, extra: Mapping[str, str] | None = None, parts: Sequence[str] = INFRASTRUCTURE) -> Cluster:
    environment = own_only(os.environ) | dict(extra or {})
    folders, screen = Folders.below(folder, os.environ), Screen(Console(quiet=True))
    return Cluster(folders, free_ports, environment=environment, screen=screen, parts=parts)


def _settle_only(folder: Path, _: int) -> Figures:
    with _cluster(folder) as cluster:
        console.print("starting the cluster")
        cluster.start()
        cluster.start_services(["claims"])
        world = uvloop.run(_world(cluster))
        figures = uvloop.run(settle.measure(cluster, world, console.print))
        cluster.start_services([name for name in SERVICES if name != "claims"])
        owner_url = cluster.environment["SIFANG_DATABASE_URL"]
        return figures | uvloop.run(flow.measure(owner_url, world, console.print, seconds=10))


def _reconcile_only(folder: Path, bills: int) -> Figures:
    with _cluster(folder, {"SIFANG_SETTLEMENT_NETTING": "multilateral"}, (POSTGRES, KAFKA)) as cluster:
        console.print("starting the cluster")
        cluster.start()
        cluster.start_services(["settlement"])
        return uvloop.run(_reconcile(cluster, bills))


def _beside_only(folder: Path, bills: int) -> Figures:
    with _cluster(folder, {"SIFANG_SETTLEMENT_NETTING": "multilateral"}) as cluster:
        console.print("starting the cluster")
        cluster.start()
        cluster.start_services(["claims", "settlement"])
        return uvloop.run(_beside(cluster, bills))


async def _beside(cluster: Cluster, bills: int) -> Figures:
    world = await _world(cluster)
    owner_url, url = cluster.environment["SIFANG_DATABASE_URL"], cluster.url("settlement")
    return await beside.measure(owner_url, url, world, TokenMaker(_settings(cluster)), console.print, bills)


def _lookups_only(folder: Path, bills: int) -> Figures:
    with _cluster(folder) as cluster:
        console.print("starting the cluster")
        cluster.start()
        return uvloop.run(lookups.measure(cluster.environment["SIFANG_DATABASE_URL"], console.print, bills))


async def _reconcile(cluster: Cluster, bills: int) -> Figures:
    tokens = TokenMaker(_settings(cluster))
    owner_url, url = cluster.environment["SIFANG_DATABASE_URL"], cluster.url("settlement")
    return await reconcile.measure(owner_url, url, tokens, console.print, bills, cluster.resident_bytes)


def _everything(folder: Path, bills: int) -> Figures:
    with _cluster(folder) as cluster:
        console.print("starting the cluster")
        cluster.start()
        cluster.start_services()
        start_s = round(cluster.seconds_since_start, 1)
    with _cluster(folder) as cluster:
        cluster.start()
        cluster.start_services(["claims"])
        cluster.start_services([name for name in SERVICES if name != "claims"])
        started: Figures = {
            "start_s": start_s,
            "warm_start_s": round(cluster.seconds_since_start, 1),
            "resident_mb": round(sum(cluster.resident_bytes().values()) / 1e6, 1),
        }
        measured = uvloop.run(_measure_all(cluster)) | started
    measured |= _policy_only(folder, bills) | _reconcile_only(folder / "reconcile", bills)
    return measured | _beside_only(folder / "beside", bills)


async def _measure_all(cluster: Cluster) -> Figures:
    world = await _world(cluster)
    owner_url = cluster.environment["SIFANG_DATABASE_URL"]
    token = TokenMaker(_settings(cluster)).make(role="officer", party="100000")
    for name in SERVICES:
        if name != "claims":
            await asyncio.to_thread(cluster.stop_part, name)
    figures = await settle.measure(cluster, world, console.print)
    for name in SERVICES:
        if name != "claims":
            await asyncio.to_thread(cluster.start_part, name)
    figures |= await flow.measure(owner_url, world, console.print, seconds=60)
    return figures | await imports.measure(owner_url, cluster.url("enrollment"), token, console.print)


def _policy_only(_: Path, __: int) -> Figures:
    return policy.measure(console.print)


_MEASURED = {
    "all": _everything,
    "settle": _settle_only,
    "policy": _policy_only,
    "reconcile": _reconcile_only,
    "beside": _beside_only,
    "lookups": _lookups_only,
}


def _settings(cluster: Cluster) -> Settings:
    return Settings(secrets_dir=cluster.folders.secrets)


async def _world(cluster: Cluster) -> World:
    token = TokenMaker(_settings(cluster)).make(role="facility", party=FACILITY)
    return await make_world(cluster.environment["SIFANG_DATABASE_URL"], token, cluster.ports["claims"])


def _show(figures: Figures) -> None:
    table = Table(title="Benchmarks")
    for heading in ("figure", "value", "owed", "meaning"):
        table.add_column(heading)
    for name, value in figures.items():
        meaning, owed = MEANING[name]
        table.add_row(name, f"{value:,}", owed, meaning)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
