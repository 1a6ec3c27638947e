"""closed years leave the database as archives, and what the books need of them goes on as openings"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.plumbing import refuse_change

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("ledger_archive", "ledger_archive_step", "ledger_opening", "ledger_archived_case", "ledger_archived_bill")

FUNCTIONS = [
    # What leaves with a year: bills whose every moment is within it or before, and that no later case is cleared with.
    # In one place, for who writes the files, who adds up the openings and who takes the partitions away.
    """CREATE FUNCTION settlement.bills_until(until_id text, last_period text, until_at timestamptz)
        RETURNS SETOF settlement.bill LANGUAGE sql STABLE AS $$
        SELECT b.* FROM settlement.bill b
        WHERE b.settlement_id < until_id AND b.period <= last_period AND b.settled_at < until_at
            AND b.booked_at < until_at AND NOT EXISTS (
                SELECT FROM settlement.carried_bill k JOIN settlement.settlement_case c ON c.case_id = k.to_case_id
                WHERE k.settlement_id = b.settlement_id AND c.period > last_period) $$""",
    # Nothing is written to a year, nor to what stayed of those before it, until the transaction ends. Reading goes on,
    # and so does the booking of all bills but those that come years too late.
    """CREATE FUNCTION settlement.lock_year(year int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog SET lock_timeout = '10s' AS $$
        DECLARE parent text;
        BEGIN
            FOREACH parent IN ARRAY ARRAY['bill', 'ledger_transaction', 'ledger_entry'] LOOP
                EXECUTE format('LOCK TABLE settlement_parts.%I IN SHARE MODE', format('%s_%s', parent, year));
                IF to_regclass(format('settlement_parts.%I', parent || '_earlier')) IS NOT NULL THEN
                    EXECUTE format('LOCK TABLE settlement_parts.%I IN SHARE MODE', parent || '_earlier');
                END IF;
            END LOOP;
        END $$""",
    # Only the exchange of partitions needs the tables alone, and is quick. Who finds others at work lets them pass.
    """CREATE FUNCTION settlement.lock_books() RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$ BEGIN
        FOR try IN 1..30 LOOP
            BEGIN
                LOCK TABLE settlement.bill, settlement.ledger_transaction, settlement.ledger_entry
                    IN ACCESS EXCLUSIVE MODE;
                RETURN;
            EXCEPTION WHEN lock_not_available THEN
                IF try = 30 THEN RAISE; END IF;
                PERFORM pg_sleep(0.5);
            END;
        END LOOP;
        END $$""",
    """CREATE FUNCTION settlement.attach_part(parent text, part text, from_id text, until_id text) RETURNS void
        LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('ALTER TABLE settlement.%I ATTACH PARTITION settlement_parts.%I FOR VALUES FROM (%s) TO (%L)',
            parent, part, coalesce(quote_literal(from_id), 'MINVALUE'), until_id);
        PERFORM settlement.guard_part(part);
        END $$""",
    # Takes a year out of the tables whose archive is written down. What stays of it (late bills, and the payments,
    # which are few) is in one partition with what stayed of the years before. The partitions that held it are kept
    # aside, until they are dropped.
    """CREATE FUNCTION settlement.leave_year(no int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog AS $$
        DECLARE
            a settlement.ledger_archive;
            parent text; key text; gone bigint; leaving bigint[];
            until_at timestamptz;
        BEGIN
            SELECT * INTO STRICT a FROM settlement.ledger_archive WHERE archive_no = no;
            IF EXISTS (SELECT FROM settlement.ledger_archive WHERE archive_no > no)
                OR EXISTS (SELECT FROM settlement.ledger_archive_step WHERE archive_no = no) THEN
                RAISE EXCEPTION 'archive % is not the newest, or is over', no USING ERRCODE = 'check_violation';
            END IF;
            until_at := make_date(a.year + 1, 1, 1)::timestamp AT TIME ZONE 'Asia/Shanghai';
            PERFORM settlement.lock_year(a.year);
            leaving := ARRAY[a.bills, a.transactions, a.entries];
            FOR n IN 1..3 LOOP
                parent := (ARRAY['bill', 'ledger_transaction', 'ledger_entry'])[n];
                key := (ARRAY['settlement_id', 'transaction_id', 'transaction_id'])[n];
                EXECUTE format('CREATE TABLE settlement_parts.%I (LIKE settlement.%I INCLUDING DEFAULTS'
                    ' INCLUDING CONSTRAINTS)', parent || '_stays', parent);
                EXECUTE format('INSERT INTO settlement_parts.%I SELECT p.* FROM settlement.%I p WHERE p.%I < $1'
                    ' AND NOT EXISTS (SELECT FROM settlement.bills_until($1, $2, $3) l WHERE l.settlement_id = p.%I)',
                    parent || '_stays', parent, key, key) USING a.until_id, a.year || '-12', until_at;
                EXECUTE format('SELECT (SELECT count(*) FROM settlement.%I WHERE %I < $1)'
                    ' - (SELECT count(*) FROM settlement_parts.%I)', parent, key, parent || '_stays')
                    INTO gone USING a.until_id;
                IF gone <> leaving[n] THEN
                    RAISE EXCEPTION '% rows of % would leave, the archive has %', gone, parent, leaving[n]
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_archive_leaves';
                END IF;
            END LOOP;
            PERFORM settlement.lock_books();
            FOREACH parent IN ARRAY ARRAY['bill', 'ledger_transaction', 'ledger_entry'] LOOP
                PERFORM settlement.set_aside(parent, format('%s_%s', parent, a.year), format('%s_left_%s', parent, no));
                PERFORM settlement.set_aside(parent, parent || '_earlier', format('%s_left_%s_earlier', parent, no));
                EXECUTE format('ALTER TABLE settlement_parts.%I RENAME TO %I', parent || '_stays', parent || '_earlier');
                PERFORM settlement.attach_part(parent, parent || '_earlier', NULL, a.until_id);
            END LOOP;
        END $$""",
    """CREATE FUNCTION settlement.set_aside(parent text, part text, name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        IF to_regclass(format('settlement_parts.%I', part)) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE settlement.%I DETACH PARTITION settlement_parts.%I', parent, part);
            EXECUTE format('ALTER TABLE settlement_parts.%I RENAME TO %I', part, name);
        END IF;
        END $$""",
    """CREATE FUNCTION settlement.drop_left(no int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog AS $$
        DECLARE part text; dropped int := 0;
        BEGIN
            IF NOT EXISTS (SELECT FROM settlement.ledger_archive_step WHERE archive_no = no) THEN
                RAISE EXCEPTION 'nobody has said that archive % is dropped', no USING ERRCODE = 'check_violation';
            END IF;
            FOR part IN SELECT relname FROM pg_class WHERE relnamespace = 'settlement_parts'::regnamespace
                AND relkind = 'r' AND relname ~ format('_left_%s(_earlier)?$', no) LOOP
                EXECUTE format('DROP TABLE settlement_parts.%I', part);
                dropped := dropped + 1;
            END LOOP;
            RETURN dropped;
        END $$""",
    # The way back: the caller lays the rows of the files down in temporary tables; they become the year's partition
    # again, and what had stayed of the years before its own.
    """CREATE FUNCTION settlement.return_year(no int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog AS $$
        DECLARE
            a settlement.ledger_archive;
            parent text; key text; lower_id text;
        BEGIN
            SELECT * INTO STRICT a FROM settlement.ledger_archive WHERE archive_no = no;
            SELECT max(e.until_id) INTO lower_id FROM settlement.ledger_archive e
            WHERE e.archive_no < no AND NOT EXISTS (SELECT FROM settlement.ledger_archive_step s
                WHERE s.archive_no = e.archive_no AND s.step = 'restored');
            IF NOT EXISTS (SELECT FROM settlement.ledger_archive_step s
                           WHERE s.archive_no = no AND s.step = 'restored')
                OR to_regclass(format('settlement_parts.%I', 'bill_' || a.year)) IS NOT NULL
                OR lower_id >= a.until_id THEN
                RAISE EXCEPTION 'archive % is not the one to be restored', no USING ERRCODE = 'check_violation';
            END IF;
            PERFORM settlement.lock_books();
            FOR n IN 1..3 LOOP
                parent := (ARRAY['bill', 'ledger_transaction', 'ledger_entry'])[n];
                key := (ARRAY['settlement_id', 'transaction_id', 'transaction_id'])[n];
                PERFORM settlement.set_aside(parent, parent || '_earlier', parent || '_stayed');
                PERFORM settlement.fill_part(parent, format('%s_%s', parent, a.year), key, lower_id, a.until_id);
                PERFORM settlement.attach_part(parent, format('%s_%s', parent, a.year), lower_id, a.until_id);
                IF lower_id IS NOT NULL THEN
                    PERFORM settlement.fill_part(parent, parent || '_earlier', key, NULL, lower_id);
                    PERFORM settlement.attach_part(parent, parent || '_earlier', NULL, lower_id);
                END IF;
                EXECUTE format('DROP TABLE settlement_parts.%I', parent || '_stayed');
            END LOOP;
            PERFORM settlement.drop_left(no);
        END $$""",
    """CREATE FUNCTION settlement.fill_part(parent text, part text, key text, from_id text, until_id text)
        RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('CREATE TABLE settlement_parts.%I (LIKE settlement.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
            part, parent);
        EXECUTE format('INSERT INTO settlement_parts.%1$I'
            ' SELECT * FROM pg_temp.%2$I WHERE %4$I >= coalesce($1, '''') AND %4$I < $2'
            ' UNION ALL SELECT * FROM settlement_parts.%3$I WHERE %4$I >= coalesce($1, '''') AND %4$I < $2',
            part, 'returning_' || parent, parent || '_stayed', key) USING from_id, until_id;
        END $$""",
    # An archived month takes no bills, and no archived bill is booked again.
    """CREATE FUNCTION settlement.bill_not_archived() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE until text; last int;
        BEGIN
            SELECT max(a.until_id), max(a.year) INTO until, last FROM settlement.ledger_archive a
            WHERE NOT EXISTS (SELECT FROM settlement.ledger_archive_step s
                              WHERE s.archive_no = a.archive_no AND s.step = 'restored');
            IF EXISTS (SELECT FROM added WHERE period <= last || '-12') THEN
                RAISE EXCEPTION 'an archived month takes no bills'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_month_archived';
            END IF;
            IF EXISTS (SELECT FROM added d WHERE d.settlement_id < until AND (
                    EXISTS (SELECT FROM settlement.ledger_chain c WHERE c.transaction_id = d.settlement_id)
                    OR EXISTS (SELECT FROM settlement.ledger_archived_bill z WHERE z.settlement_id = d.settlement_id))) THEN
                RAISE EXCEPTION 'an archived bill is not booked again'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_archived';
            END IF;
            RETURN NULL;
        END $$""",
    """CREATE TRIGGER bill_not_archived AFTER INSERT ON settlement.bill REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.bill_not_archived()""",
    """REVOKE ALL ON FUNCTION settlement.lock_books, settlement.attach_part, settlement.set_aside, settlement.fill_part
        FROM PUBLIC""",
]


def _amounts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _of_archive(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["archive_no"], ["settlement.ledger_archive.archive_no"], name=f"{table}_of")


def upgrade() -> None:
    _archives()
    _contents()
    for table in TABLES:
        for guard in refuse_change("settlement", table):
            op.execute(guard)
    for function in FUNCTIONS:
        op.execute(function)


def _archives() -> None:
    op.create_table(
        "ledger_archive",
        sa.Column("archive_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        *_texts("until_id"),
        *_amounts("transactions", "entries", "bills", "reversals"),
        *_amounts("total_fen", "fund_fen", "account_fen", "payable_fen", "left_links"),
        sa.Column("left_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("contents_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("files", postgresql.JSONB(), nullable=False),
        *_texts("done_by", "approved_by"),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("archive_no > 0 AND year BETWEEN 1970 AND 9999", name="ledger_archive_number"),
        sa.CheckConstraint(
            "transactions >= 0 AND entries >= 0 AND bills >= transactions AND reversals BETWEEN 0 AND bills"
            " AND left_links >= transactions",
            name="ledger_archive_counts",
        ),
        sa.CheckConstraint("payable_fen = fund_fen + account_fen", name="ledger_archive_payable"),
        sa.CheckConstraint("done_by <> approved_by", name="ledger_archive_four_eyes"),
        sa.CheckConstraint(
            "octet_length(left_sha256) = 32 AND octet_length(contents_sha256) = 32 AND octet_length(mac) = 32",
            name="ledger_archive_hashes",
        ),
        sa.PrimaryKeyConstraint("archive_no"),
        schema="settlement",
    )
    op.create_table(
        "ledger_archive_step",
        sa.Column("archive_no", sa.Integer(), nullable=False),
        *_texts("step", "done_by", "approved_by"),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("step IN ('dropped', 'restored')", name="ledger_archive_step_step"),
        sa.CheckConstraint("done_by <> approved_by", name="ledger_archive_step_four_eyes"),
        sa.CheckConstraint("octet_length(mac) = 32", name="ledger_archive_step_mac"),
        _of_archive("ledger_archive_step"),
        sa.PrimaryKeyConstraint("archive_no", "step"),
        schema="settlement",
    )


def _contents() -> None:
    op.create_table(
        "ledger_opening",
        sa.Column("archive_no", sa.Integer(), nullable=False),
        *_texts("book", "account_kind", "counterparty", "fund_pay_type"),
        *_amounts("debit_fen", "credit_fen", "entries"),
        sa.CheckConstraint("debit_fen >= 0 AND credit_fen >= 0 AND entries > 0", name="ledger_opening_amounts"),
        _of_archive("ledger_opening"),
        sa.PrimaryKeyConstraint("archive_no", "book", "account_kind", "counterparty", "fund_pay_type"),
        schema="settlement",
    )
    op.create_index("ledger_opening_book", "ledger_opening", ["book"], schema="settlement")
    op.create_table(
        "ledger_archived_case",
        sa.Column("archive_no", sa.Integer(), nullable=False),
        *_texts("case_id"),
        *_amounts("bill_count", "total_fen", "fund_fen", "account_fen", "payable_fen"),
        sa.CheckConstraint("bill_count > 0 AND payable_fen = fund_fen + account_fen", name="ledger_archived_case_sums"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="ledger_archived_case_case"),
        _of_archive("ledger_archived_case"),
        sa.PrimaryKeyConstraint("archive_no", "case_id"),
        schema="settlement",
    )
    op.create_index("ledger_archived_case_id", "ledger_archived_case", ["case_id"], schema="settlement")
    op.create_table(
        "ledger_archived_bill",
        sa.Column("archive_no", sa.Integer(), nullable=False),
        *_texts("settlement_id"),
        _of_archive("ledger_archived_bill"),
        sa.PrimaryKeyConstraint("archive_no", "settlement_id"),
        schema="settlement",
    )
    op.create_index("ledger_archived_bill_id", "ledger_archived_bill", ["settlement_id"], schema="settlement")
