"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.plumbing import create_statements, refuse_change

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_statements("claims"):
        op.execute(statement)
    _agreement()
    _facility()
    _filing()
    _insurance_span()
    _person()
    _visit()
    _year_book()
    _policy_pack()
    _policy_replay()
    _recheck()
    op.execute(
        """CREATE FUNCTION claims.sum_of(shares jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS
        'SELECT coalesce(sum(value::bigint), 0)::bigint FROM jsonb_each_text(shares)'"""
    )
    _fee_line()
    _settlement()
    _working()
    _resettlement()
    # What was proposed is what is decided about, and what is decided stays.
    op.execute(
        """CREATE FUNCTION claims.keep_pack() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'UPDATE' OR OLD.state <> 'proposed' OR (OLD.proposal_id, OLD.pack, OLD.version, OLD.area,
                OLD.valid_from, OLD.valid_to, OLD.digest, OLD.files, OLD.proposed_by, OLD.proposed_at) IS DISTINCT FROM
                (NEW.proposal_id, NEW.pack, NEW.version, NEW.area, NEW.valid_from, NEW.valid_to, NEW.digest, NEW.files,
                NEW.proposed_by, NEW.proposed_at)
            THEN RAISE EXCEPTION 'a policy pack is decided once and never changed' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        END $$"""
    )
    op.execute(
        """CREATE TRIGGER policy_pack_kept BEFORE UPDATE OR DELETE ON claims.policy_pack
        FOR EACH ROW EXECUTE FUNCTION claims.keep_pack()"""
    )
    # One person never has two stays at one time; who leaves one bed at ten may lie in another at ten.
    op.execute(
        """ALTER TABLE claims.visit ADD CONSTRAINT visit_no_overlap
        EXCLUDE USING gist (claims.key_place(person_id) WITH &&, tstzrange(began_at, ended_at) WITH &&)
        WHERE (kind = 'inpatient' AND state <> 'cancelled')"""
    )
    for table in ("settlement", "fee_line", "working"):
        for statement in refuse_change("claims", table):
            op.execute(statement)


def _agreement() -> None:
    op.create_table(
        "agreement",
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("suspensions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_id"),
        schema="claims",
    )
    op.create_index(
        op.f("ix_claims_agreement_facility_code"), "agreement", ["facility_code"], unique=False, schema="claims"
    )


def _facility() -> None:
    op.create_table(
        "facility",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
        schema="claims",
    )


def _filing() -> None:
    op.create_table(
        "filing",
        sa.Column("filing_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("care_region", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("filing_id"),
        schema="claims",
    )
    op.create_index(op.f("ix_claims_filing_person_id"), "filing", ["person_id"], unique=False, schema="claims")


def _insurance_span() -> None:
    op.create_table(
        "insurance_span",
        sa.Column("span_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("psn_type", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("span_id"),
        schema="claims",
    )
    op.create_index(
        op.f("ix_claims_insurance_span_person_id"), "insurance_span", ["person_id"], unique=False, schema="claims"
    )


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("identity_hash", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
        schema="claims",
    )
    op.create_index(op.f("ix_claims_person_identity_hash"), "person", ["identity_hash"], unique=False, schema="claims")


def _visit() -> None:
    op.create_table(
        "visit",
        sa.Column("visit_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("facility_visit_no", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("med_type", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('inpatient', 'outpatient', 'pharmacy')", name="visit_kind"),
        sa.CheckConstraint("state IN ('open', 'settled', 'cancelled')", name="visit_state"),
        sa.CheckConstraint("ended_at IS NULL OR began_at <= ended_at", name="visit_period"),
        sa.PrimaryKeyConstraint("visit_id"),
        sa.UniqueConstraint("facility_code", "facility_visit_no", name="visit_number"),
        schema="claims",
    )
    op.create_index(op.f("ix_claims_visit_person_id"), "visit", ["person_id"], unique=False, schema="claims")


def _year_book() -> None:
    op.create_table(
        "year_book",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("used", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("newest_on", sa.Date(), nullable=True),
        sa.CheckConstraint("NOT jsonb_path_exists(used, '$.* ? (@ < 0)')", name="year_book_positive"),
        sa.CheckConstraint("jsonb_typeof(used) = 'object'", name="year_book_object"),
        sa.PrimaryKeyConstraint("person_id"),
        schema="claims",
    )


def _policy_pack() -> None:
    op.create_table(
        "policy_pack",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'in_force', 'rejected')", name="policy_pack_state"),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> proposed_by", name="policy_pack_four_eyes"),
        sa.CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="policy_pack_decided"),
        sa.PrimaryKeyConstraint("proposal_id"),
        schema="claims",
    )
    op.create_index(
        "policy_pack_once",
        "policy_pack",
        ["pack", "version"],
        unique=True,
        schema="claims",
        postgresql_where=sa.text("state <> 'rejected'"),
    )


def _policy_replay() -> None:
    op.create_table(
        "policy_replay",
        sa.Column("replay_id", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('asked', 'done', 'failed')", name="policy_replay_state"),
        sa.CheckConstraint("(state = 'asked') = (finished_at IS NULL)", name="policy_replay_finished"),
        sa.CheckConstraint("until >= since", name="policy_replay_days"),
        sa.ForeignKeyConstraint(["proposal_id"], ["claims.policy_pack.proposal_id"], name="policy_replay_pack"),
        sa.PrimaryKeyConstraint("replay_id"),
        schema="claims",
    )


def _recheck() -> None:
    op.create_table(
        "recheck",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id"),
        schema="claims",
    )


def _fee_line() -> None:
    op.create_table(
        "fee_line",
        sa.Column("visit_id", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Text(), nullable=False),
        sa.Column("item_code", sa.Text(), nullable=False),
        sa.Column("item_class", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("voids_line_no", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_fen = round(quantity * unit_price * 100)", name="fee_line_amount"),
        sa.CheckConstraint("amount_fen >= 0 OR voids_line_no IS NOT NULL", name="fee_line_void"),
        sa.ForeignKeyConstraint(["visit_id"], ["claims.visit.visit_id"], name="fee_line_visit"),
        sa.PrimaryKeyConstraint("visit_id", "line_no"),
        schema="claims",
    )


def _settlement() -> None:
    op.create_table(
        "settlement",
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("visit_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("facility_settlement_no", sa.Text(), nullable=False),
        sa.Column("reverses_settlement_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("psn_type", sa.Text(), nullable=False),
        sa.Column("med_type", sa.Text(), nullable=False),
        sa.Column("clr_type", sa.Text(), nullable=False),
        sa.Column("pay_loc", sa.Text(), nullable=False),
        sa.Column("began_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("benefit", sa.Text(), nullable=False),
        sa.Column("shares", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ratio", sa.Numeric(precision=9, scale=6), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("person_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_fen", sa.BigInteger(), nullable=False),
        sa.Column("cash_fen", sa.BigInteger(), nullable=False),
        sa.Column("hospital_fen", sa.BigInteger(), nullable=False),
        sa.Column("own_fen", sa.BigInteger(), nullable=False),
        sa.Column("over_ceiling_fen", sa.BigInteger(), nullable=False),
        sa.Column("prepay_fen", sa.BigInteger(), nullable=False),
        sa.Column("in_scope_fen", sa.BigInteger(), nullable=False),
        sa.Column("deductible_fen", sa.BigInteger(), nullable=False),
        sa.Column("by_ratio_fen", sa.BigInteger(), nullable=False),
        sa.Column("over_cap_fen", sa.BigInteger(), nullable=False),
        sa.Column("relieved_fen", sa.BigInteger(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "CASE WHEN reverses_settlement_id IS NULL THEN least(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, over_ceiling_fen, prepay_fen, in_scope_fen, deductible_fen, by_ratio_fen, over_cap_fen, relieved_fen) >= 0 ELSE greatest(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, over_ceiling_fen, prepay_fen, in_scope_fen, deductible_fen, by_ratio_fen, over_cap_fen, relieved_fen) <= 0 END",
            name="settlement_sign",
        ),
        sa.CheckConstraint(
            "in_scope_fen + relieved_fen = deductible_fen + fund_fen + hospital_fen + by_ratio_fen + over_cap_fen",
            name="settlement_layers",
        ),
        sa.CheckConstraint("fund_fen = claims.sum_of(shares)", name="settlement_shares"),
        sa.CheckConstraint("person_fen = account_fen + cash_fen", name="settlement_person"),
        sa.CheckConstraint("total_fen = fund_fen + person_fen + hospital_fen", name="settlement_total"),
        sa.CheckConstraint(
            "total_fen = own_fen + over_ceiling_fen + prepay_fen + in_scope_fen", name="settlement_scope"
        ),
        sa.ForeignKeyConstraint(
            ["reverses_settlement_id"], ["claims.settlement.settlement_id"], name="settlement_reverses"
        ),
        sa.ForeignKeyConstraint(["visit_id"], ["claims.visit.visit_id"], name="settlement_visit"),
        sa.PrimaryKeyConstraint("settlement_id"),
        sa.UniqueConstraint("facility_code", "facility_settlement_no", name="settlement_number"),
        sa.UniqueConstraint("reverses_settlement_id", name="settlement_reversed_once"),
        schema="claims",
    )
    op.create_index(op.f("ix_claims_settlement_visit_id"), "settlement", ["visit_id"], unique=False, schema="claims")
    op.create_index(
        "settlement_of_facility", "settlement", ["facility_code", "settled_at"], unique=False, schema="claims"
    )
    op.create_index("settlement_of_person", "settlement", ["person_id"], unique=False, schema="claims")


def _working() -> None:
    op.create_table(
        "working",
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("steps", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["settlement_id"], ["claims.settlement.settlement_id"], name="working_settlement"),
        sa.PrimaryKeyConstraint("settlement_id"),
        schema="claims",
    )


def _resettlement() -> None:
    op.create_table(
        "resettlement",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("expected_fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'closed')", name="resettlement_state"),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="resettlement_closed"),
        sa.ForeignKeyConstraint(["settlement_id"], ["claims.settlement.settlement_id"], name="resettlement_settlement"),
        sa.PrimaryKeyConstraint("item_id"),
        schema="claims",
    )
    op.create_index(
        op.f("ix_claims_resettlement_person_id"), "resettlement", ["person_id"], unique=False, schema="claims"
    )
    op.create_index(
        op.f("ix_claims_resettlement_home_region"), "resettlement", ["home_region"], unique=False, schema="claims"
    )
    op.create_index(
        "resettlement_once",
        "resettlement",
        ["settlement_id"],
        unique=True,
        schema="claims",
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    raise RuntimeError("migrations go forward only; restore a backup instead")
