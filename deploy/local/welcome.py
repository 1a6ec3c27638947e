"""What a person reads once the cluster is healthy: where everything is, and what to try first."""

from __future__ import annotations

from deploy.local.cluster import Cluster
from deploy.local.screen import Screen
from shared.settings import SERVICES


def show(cluster: Cluster, screen: Screen) -> None:
    """Print the addresses, how to get a token, and a first call."""
    resident_mb = sum(cluster.resident_bytes().values()) / 1e6
    seconds = cluster.seconds_since_start
    screen.done(f"all healthy {seconds:.1f} s after the start, {resident_mb:.0f} MB resident")
    screen.table("Services", ("service", "API docs", "metrics"), _services(cluster))
    screen.table("Beside them", ("what", "where"), _others(cluster))
    screen.note(_first_steps(cluster))


def _services(cluster: Cluster) -> list[tuple[str, str, str]]:
    return [(name, f"{cluster.url(name)}/docs", f"{cluster.url(name)}/metrics") for name in SERVICES]


def _others(cluster: Cluster) -> list[tuple[str, str]]:
    environment = cluster.environment
    database = environment["SIFANG_DATABASE_URL"].rpartition("@")[2]  # without the password before it
    return [
        ("traces", cluster.trace_ui or "elsewhere, by the OTEL_ variables"),
        ("PostgreSQL", database),
        ("Kafka", environment["SIFANG_KAFKA_BOOTSTRAP"]),
        ("data", str(cluster.folders.data)),
        ("logs", str(cluster.folders.logs)),
    ]


def _first_steps(cluster: Cluster) -> str:
    return f"""
In another terminal:
  curl {cluster.url("claims")}/health/ready
  TOKEN=$(make -s token ROLE=officer PARTY=411603)
  curl -H "Authorization: Bearer $TOKEN" "{cluster.url("designation")}/v1/facilities?region=411603"
Ctrl-C stops everything; the data stays until `make reset`.
"""
