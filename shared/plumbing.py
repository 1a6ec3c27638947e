"""The tables every service has besides its own, made by its first migration: outbox, inbox, idempotency."""

from __future__ import annotations

from pathlib import Path

_SERVICES = Path(__file__).resolve().parent.parent / "services"

TABLES = ("outbox", "inbox", "idempotency")
"""Names that are plumbing's in every schema; a service's `tables.py` never declares them."""


def newest_migration(service: str) -> str:
    """The number of a service's newest migration: that its database must have. Read from the file names, because a
    running service has no other use for the migration library, which is half of its start-up time.
    """
    return max(
        file.name.partition("_")[0] for file in (_SERVICES / service / "migrations" / "versions").glob("[0-9]*.py")
    )


def create_statements(service: str) -> list[str]:
    """The DDL of the plumbing tables in the service's schema, one statement each."""
    return [
        # Exclusion constraints on "same key and overlapping time" need equality in a GiST index, which the bundled
        # server lacks (btree_gist); so a key becomes a point in a plane, and the time stands beside it as a range. Two
        # keys share a point only if 104 bits of their SHA-256 agree.
        f"""CREATE FUNCTION {service}.key_place(key text) RETURNS box
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT box(place, place) FROM (
                SELECT point(('x' || left(hash, 13))::bit(52)::bigint,
                             ('x' || right(hash, 13))::bit(52)::bigint) AS place
                FROM (SELECT encode(sha256(convert_to(key, 'UTF8')), 'hex') AS hash) AS digest) AS point $$""",
        f"""CREATE FUNCTION {service}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '% of %.% is refused: rows are never changed, they are reversed',
                TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$""",
        f"""CREATE TABLE {service}.outbox (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id text NOT NULL UNIQUE,
            type text NOT NULL,
            key text NOT NULL,
            data text NOT NULL,
            occurred_at timestamptz NOT NULL,
            traceparent text
        )""",
        # A statement trigger wakes the relay, so that no code path can forget to.
        f"""CREATE FUNCTION {service}.outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_notify('sifang_outbox_{service}', ''); RETURN NULL; END $$""",
        f"""CREATE TRIGGER outbox_wake AFTER INSERT ON {service}.outbox
            FOR EACH STATEMENT EXECUTE FUNCTION {service}.outbox_wake()""",
        f"""CREATE TABLE {service}.inbox (
            event_id text PRIMARY KEY,
            handled_at timestamptz NOT NULL
        )""",
        f"CREATE INDEX inbox_handled_at ON {service}.inbox USING brin (handled_at)",
        f"""CREATE TABLE {service}.idempotency (
            party text NOT NULL,
            key text NOT NULL,
            request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
            status smallint NOT NULL CHECK (status BETWEEN 200 AND 299),
            body text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (party, key)
        )""",
    ]


def refuse_change(service: str, table: str) -> list[str]:
    """DDL that makes the rows of a table unchangeable: UPDATE, DELETE and TRUNCATE are refused."""
    return [
        f"""CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {service}.{table}
            FOR EACH STATEMENT EXECUTE FUNCTION {service}.refuse_change()"""
    ]
