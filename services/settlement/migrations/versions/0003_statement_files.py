"""files of statements' lines, more classes of differences, and their work items"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.plumbing import refuse_change

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GUARDS = [
    *refuse_change("settlement", "statement_mapping"),
    # Of an action only the approval comes later.
    """CREATE TRIGGER item_action_stands BEFORE UPDATE OF action_no, item_no, kind, reason, party, subject, at,
        statement_id, match_no, position, approval_needed OR DELETE OR TRUNCATE ON settlement.item_action
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER item_action_approved_once BEFORE UPDATE ON settlement.item_action FOR EACH ROW
        WHEN (OLD.approved_by IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
    # What was accepted stays as it was sent, and lines come only while their file is being received.
    """CREATE TRIGGER statement_file_stands BEFORE UPDATE OR DELETE ON settlement.statement_file FOR EACH ROW
        WHEN (OLD.state = 'accepted') EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER statement_file_line_stands BEFORE UPDATE OR TRUNCATE ON settlement.statement_file_line
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE FUNCTION settlement.statement_file_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM (SELECT DISTINCT file_no FROM changed) AS c
                   LEFT JOIN settlement.statement_file f USING (file_no)
                   WHERE f.state IS NULL OR f.state = 'accepted' OR (TG_OP = 'INSERT' AND f.state <> 'receiving')) THEN
            RAISE EXCEPTION '% of lines of a file that is not being received', TG_OP
                USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_file_line_open';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER statement_file_line_added AFTER INSERT ON settlement.statement_file_line
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION settlement.statement_file_open()""",
    """CREATE TRIGGER statement_file_line_removed AFTER DELETE ON settlement.statement_file_line
        REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION settlement.statement_file_open()""",
]


CLASSES = (
    "'within_tolerance', 'amount_differs', 'key_differs', 'period_differs', 'duplicate', 'reversed_on_one_side',"
    " 'missing_in_statement', 'missing_in_books'"
)


def upgrade() -> None:
    _files()
    _classes()
    _items()
    for guard in GUARDS:
        op.execute(guard)


def _files() -> None:
    _statement_mapping()
    _statement_file()
    _statement_file_line()
    _statement_file_refusal()


def _statement_mapping() -> None:
    op.create_table(
        "statement_mapping",
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version_no", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version_no > 0", name="statement_mapping_version"),
        sa.PrimaryKeyConstraint("facility_code", "name", "version_no"),
        schema="settlement",
    )


def _statement_file() -> None:
    op.create_table(
        "statement_file",
        sa.Column("file_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mapping_name", sa.Text(), nullable=True),
        sa.Column("mapping_version_no", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("line_reached", sa.Integer(), nullable=False),
        sa.Column("prefix_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("wrong_count", sa.Integer(), nullable=False),
        sa.Column("numbered", sa.Boolean(), nullable=False),
        sa.Column("sent_by", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="statement_file_sha256"),
        sa.CheckConstraint("state IN ('receiving', 'accepted', 'refused')", name="statement_file_state"),
        sa.CheckConstraint("(state = 'receiving') = (ended_at IS NULL)", name="statement_file_ended"),
        sa.CheckConstraint(
            "state <> 'accepted' OR (wrong_count = 0 AND line_count > 0)", name="statement_file_accepted"
        ),
        sa.CheckConstraint("state <> 'refused' OR wrong_count > 0", name="statement_file_refused"),
        sa.CheckConstraint("line_reached >= line_count AND line_count >= 0", name="statement_file_lines"),
        sa.CheckConstraint("(mapping_name IS NULL) = (mapping_version_no IS NULL)", name="statement_file_mapping"),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_file_of"),
        sa.PrimaryKeyConstraint("file_no"),
        sa.UniqueConstraint("statement_id", "sha256", name="statement_file_once"),
        schema="settlement",
    )
    op.create_index(
        "statement_file_accepted",
        "statement_file",
        ["statement_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state = 'accepted'"),
    )


def _statement_file_line() -> None:
    op.create_table(
        "statement_file_line",
        sa.Column("file_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("facility_settlement_no", sa.Text(), nullable=False),
        sa.Column("refund", sa.Boolean(), nullable=False),
        sa.Column("settlement_id", sa.Text(), nullable=True),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_fen", sa.BigInteger(), nullable=False),
        sa.Column("settled_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("file_no", "line_no"),
        schema="settlement",
    )


def _statement_file_refusal() -> None:
    op.create_table(
        "statement_file_refusal",
        sa.Column("file_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["file_no"], ["settlement.statement_file.file_no"], name="statement_file_refusal_of"),
        sa.PrimaryKeyConstraint("file_no", "line_no", "position"),
        schema="settlement",
    )


def _classes() -> None:
    for table, name, classes in (
        ("statement_class", "statement_class_class", f"'agreed', {CLASSES}"),
        ("difference", "difference_class", CLASSES),
    ):
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, f"difference_class IN ({classes})", schema="settlement")
    for column in ("stated_settlement_no", "stated_settlement_id", "other_period", "item_key"):
        op.add_column("difference", sa.Column(column, sa.Text(), nullable=True), schema="settlement")
    op.add_column("difference", sa.Column("line_no", sa.Integer(), nullable=True), schema="settlement")


def _items() -> None:
    _work_item()
    _item_action()


def _work_item() -> None:
    op.create_table(
        "work_item",
        sa.Column("item_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("item_key", sa.Text(), nullable=False),
        sa.Column("difference_class", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("acting_party", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("booked", sa.Boolean(), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopened_count", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_as", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'closed')", name="work_item_state"),
        sa.CheckConstraint("closed_as IN ('agreed', 'decided', 'books_stand')", name="work_item_closed_as"),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL) AND (closed_at IS NULL) = (closed_as IS NULL)",
            name="work_item_closed",
        ),
        sa.CheckConstraint("acting_party IN (facility_code, care_region)", name="work_item_acting"),
        sa.CheckConstraint("amount_fen >= 0 AND reopened_count >= 0", name="work_item_numbers"),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="work_item_statement"),
        sa.PrimaryKeyConstraint("item_no"),
        sa.UniqueConstraint("facility_code", "period", "item_key", name="work_item_once"),
        schema="settlement",
    )
    op.create_index("work_item_facility", "work_item", ["facility_code", "item_no"], schema="settlement")
    op.create_index("work_item_region", "work_item", ["care_region", "item_no"], schema="settlement")
    op.create_index(
        "work_item_waiting",
        "work_item",
        ["acting_party", "item_no"],
        schema="settlement",
        postgresql_where=sa.text("state = 'open'"),
    )


def _item_action() -> None:
    op.create_table(
        "item_action",
        sa.Column("action_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("item_no", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("approval_needed", sa.Boolean(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('correct', 'dispute', 'drop', 'next_period')", name="item_action_kind"),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> subject", name="item_action_four_eyes"),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="item_action_approved"),
        sa.CheckConstraint("approval_needed OR approved_by IS NULL", name="item_action_unneeded"),
        sa.ForeignKeyConstraint(["item_no"], ["settlement.work_item.item_no"], name="item_action_of"),
        sa.ForeignKeyConstraint(
            ["statement_id", "match_no", "position"],
            ["settlement.difference.statement_id", "settlement.difference.match_no", "settlement.difference.position"],
            name="item_action_figures",
        ),
        sa.PrimaryKeyConstraint("action_no"),
        schema="settlement",
    )
    op.create_index("item_action_item", "item_action", ["item_no", "action_no"], schema="settlement")
