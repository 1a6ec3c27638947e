"""bills and ledger in a partition for each year, made ahead of time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PARTITIONED = {"bill": "settlement_id", "ledger_transaction": "transaction_id", "ledger_entry": "transaction_id"}
"""The tables that grow with every bill, and the column whose ULID says the year: it is the head of their primary key,
so that an id stays unique in the whole table and leads to one partition.
"""

FUNCTIONS = [
    # The smallest ULID of a moment: 48 bits of milliseconds in ten of Crockford's digits, then nothing random.
    """CREATE FUNCTION settlement.ulid_from(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
                                 ((ms >> (5 * place)) & 31)::int + 1, 1), '' ORDER BY place DESC) || repeat('0', 16)
        FROM (SELECT floor(extract(epoch FROM moment) * 1000)::bigint AS ms) AS given, generate_series(0, 9) AS place
    $$""",
    """CREATE FUNCTION settlement.ulid_from_year(year int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT settlement.ulid_from(make_date(year, 1, 1)::timestamp AT TIME ZONE 'Asia/Shanghai') $$""",
    # What a table refuses its partitions refuse too, should somebody write to them by name.
    """CREATE FUNCTION settlement.guard_part(part text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_parts.%I
            FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()', part);
        END $$""",
    # The next year is cut off from the open end of a table. Nothing is moved: either the open end has nothing of that
    # year yet, or the database refuses to attach it again and nothing of this happens.
    """CREATE FUNCTION settlement.cut_year(parent text, year int) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            part text := format('%s_%s', parent, year);
            open_end text := parent || '_later';
            until text := settlement.ulid_from_year(year + 1);
        BEGIN
            EXECUTE format('ALTER TABLE settlement.%I DETACH PARTITION settlement_parts.%I', parent, open_end);
            EXECUTE format('CREATE TABLE settlement_parts.%I PARTITION OF settlement.%I FOR VALUES FROM (%L) TO (%L)',
                part, parent, settlement.ulid_from_year(year), until);
            EXECUTE format('ALTER TABLE settlement.%I ATTACH PARTITION settlement_parts.%I'
                ' FOR VALUES FROM (%L) TO (MAXVALUE)', parent, open_end, until);
            PERFORM settlement.guard_part(part);
        END $$""",
    # What the service calls: it owns nothing and defines nothing, but may ask for years. Who finds others at work
    # gives up after a moment and comes again, so that no bill waits behind it.
    """CREATE FUNCTION settlement.make_years(until int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
        DECLARE
            parent text; next int; made int := 0;
            -- A clock that is years ahead makes no hundreds of partitions.
            last int := least(until, extract(year FROM now())::int + 10);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('settlement.make_years'));
            FOREACH parent IN ARRAY ARRAY['bill', 'ledger_transaction', 'ledger_entry'] LOOP
                SELECT max(right(relname, 4)::int) + 1 INTO next
                FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = format('settlement.%I', parent)::regclass AND relname ~ '_[0-9]{4}$';
                WHILE next <= last LOOP
                    PERFORM settlement.cut_year(parent, next);
                    next := next + 1;
                    made := made + 1;
                END LOOP;
            END LOOP;
            RETURN made;
        END $$""",
    "REVOKE ALL ON FUNCTION settlement.cut_year, settlement.guard_part FROM PUBLIC",
]


def upgrade() -> None:
    # A schema of their own, in which no service has a right: partitions are reached through their table alone.
    op.execute("CREATE SCHEMA settlement_parts")
    for function in FUNCTIONS:
        op.execute(function)
    for table, key in PARTITIONED.items():
        _partition(table, key)
    # Once a batch has locked the partitions, a plan for all of them costs a row nothing; planning for each row would.
    op.execute("ALTER FUNCTION settlement.transaction_balances() SET plan_cache_mode = force_generic_plan")
    op.execute("SELECT settlement.make_years(extract(year FROM now() AT TIME ZONE 'Asia/Shanghai')::int + 1)")


def _partition(table: str, key: str) -> None:
    """Put a partitioned table in the place of a table, which becomes its first partition, with all it holds."""
    kept = _definitions(table)
    row = op.get_bind().execute(sa.text(_THIS_YEAR)).one()
    first, until = f"{table}_{row.year}", row.until
    for trigger in kept["triggers"]:
        op.execute(f"DROP TRIGGER {trigger.name} ON settlement.{table}")
    op.execute(f"ALTER TABLE settlement.{table} SET SCHEMA settlement_parts")
    op.execute(f"ALTER TABLE settlement_parts.{table} RENAME TO {first}")
    op.execute(
        f"CREATE TABLE settlement.{table} (LIKE settlement_parts.{first} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        f" PARTITION BY RANGE ({key})"
    )
    for constraint in kept["constraints"]:
        op.execute(f"ALTER TABLE settlement.{table} ADD CONSTRAINT {constraint.name} {constraint.definition}")
    for index in kept["indexes"]:
        op.execute(index.definition)
    op.execute(
        f"ALTER TABLE settlement.{table} ATTACH PARTITION settlement_parts.{first}"
        f" FOR VALUES FROM (MINVALUE) TO ('{until}')"
    )
    op.execute(
        f"CREATE TABLE settlement_parts.{table}_later PARTITION OF settlement.{table}"
        f" FOR VALUES FROM ('{until}') TO (MAXVALUE)"
    )
    for trigger in kept["triggers"]:
        op.execute(trigger.definition)
    for part in (first, f"{table}_later"):
        op.execute(f"SELECT settlement.guard_part('{part}')")


_THIS_YEAR = """
    SELECT year, settlement.ulid_from_year(year + 1) AS until
    FROM (SELECT extract(year FROM now() AT TIME ZONE 'Asia/Shanghai')::int AS year) AS this
"""


def _definitions(table: str) -> dict[str, list[sa.Row]]:  # type: ignore[type-arg]
    """What hangs on a table, as the database writes it down: earlier migrations may have added to it."""
    queries = {
        "triggers": "SELECT tgname AS name, pg_get_triggerdef(oid) AS definition FROM pg_trigger"
        " WHERE tgrelid = CAST(:of AS regclass) AND NOT tgisinternal ORDER BY tgname",
        "constraints": "SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE conrelid = CAST(:of AS regclass) AND contype IN ('p', 'u', 'f') ORDER BY contype DESC, conname",
        "indexes": "SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index"
        " WHERE indrelid = CAST(:of AS regclass) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
    }
    bind = op.get_bind()
    return {name: list(bind.execute(sa.text(query), {"of": f"settlement.{table}"})) for name, query in queries.items()}
