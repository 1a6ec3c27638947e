"""The tables every service has besides its own, made by its first migration: outbox, inbox, idempotency."""

from __future__ import annotations

TABLES = ("outbox", "inbox", "idempotency")
"""Names that are plumbing's in every schema; a service's `tables.py` never declares them."""


def create_statements(service: str) -> list[str]:
    """The DDL of the plumbing tables in the service's schema, one statement each."""
    return [
        # Exclusion constraints on "same key and overlapping days" need an index type that the bundled server lacks
        # (btree_gist), so key and days become one range: every key has a stretch of numbers of its own.
        f"""CREATE FUNCTION {service}.key_span(key text, low bigint, high bigint) RETURNS numrange
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT numrange(k * 1e12 + low, k * 1e12 + coalesce(high, 999999999999), '[]')
            FROM (SELECT ('0x' || encode(convert_to(key, 'UTF8'), 'hex'))::numeric AS k) AS number $$""",
        f"""CREATE FUNCTION {service}.key_days(key text, first date, last date) RETURNS numrange
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT {service}.key_span(key, first - DATE '1900-01-01', last - DATE '1900-01-01') $$""",
        # Where much is inserted, a key's place in a plane serves better: GiST keeps points at a fifth of the cost of
        # numeric ranges, and the days stand beside it as a daterange. Two keys share a place if 104 bits of their
        # SHA-256 agree.
        f"""CREATE FUNCTION {service}.key_place(key text) RETURNS box
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT box(place, place) FROM (
                SELECT point(('x' || left(hash, 13))::bit(52)::bigint, ('x' || right(hash, 13))::bit(52)::bigint) AS place
                FROM (SELECT encode(sha256(convert_to(key, 'UTF8')), 'hex') AS hash) AS digest) AS point $$""",
        # Moments are half-open: who leaves one bed at ten may lie in another at ten.
        f"""CREATE FUNCTION {service}.key_moments(key text, low timestamptz, high timestamptz) RETURNS numrange
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT numrange(k * 1e12 + extract(epoch FROM low) + 2208988800,
                            k * 1e12 + coalesce(extract(epoch FROM high) + 2208988800, 999999999999), '[)')
            FROM (SELECT ('0x' || encode(convert_to(key, 'UTF8'), 'hex'))::numeric AS k) AS number $$""",
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
