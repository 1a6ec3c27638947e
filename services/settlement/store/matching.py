"""The match (对明细账): a statement's lines and the books, set against set, in one query.

Nearly everything agrees, so a census counts what is plain, and only the rest is kept. It is paired step by step, each
bill and each line at most once, and what then stands alone is explained by what surrounds it. The steps are those of
docs/settlement.md. A month, a day and a chain are matched alike; `_Scope` holds in what they differ.
"""

from __future__ import annotations

from typing import NamedTuple

from services.settlement.rules.statements import ClassNumbers, DifferenceClass, Scope, Statement, Sums
from services.settlement.store.archives import archived
from services.settlement.store.files import File
from shared.database import Connection

MATCH_MEMORY = "SELECT set_config('work_mem', $1, true)"
# How many lines will be left over nobody can estimate. Joined in loops, a million of them would be compared with each
# other; what is looked up by an index says so by LATERAL, and all else is hashed or sorted.
LOOPS = "SELECT set_config('enable_nestloop', $1, true)"

_ON = "to_char(b.settled_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD')"


class _Scope(NamedTuple):
    """Which bills and lines a match is about, as parts of its query."""

    booked: str
    """Which bills `b`."""
    settled: str
    """When by its own time a bill `b` was settled, and when it is booked: alike unless it came too late."""
    placed: str
    form: str
    """How such a time is written."""
    step: str
    """From one such time to the next."""
    beside: str
    """Which bills `b` at the times beside."""
    stated: str
    """Which statements `s` at the times beside."""
    named: str
    """Which bills `b` a line can name at all."""
    mark: str
    """Before the key of a line that stands alone: what keeps it apart from those of other statements."""


_MONTH = _Scope(
    booked="""
        b.case_id = ANY (ARRAY(SELECT case_id FROM settlement_case WHERE facility_code = $3 AND period = $4))
    """,
    settled="b.settled_period",
    placed="b.period",
    form="YYYY-MM",
    step="1 month",
    beside="""
        b.case_id = ANY (ARRAY(SELECT case_id FROM settlement_case WHERE facility_code = $3 AND period = beside.time))
    """,
    stated="s.party = $3 AND s.period = beside.time AND s.day IS NULL AND s.home_region IS NULL",
    named="b.facility_code = $3",
    mark="",
)
_DAY = _MONTH._replace(
    booked="""
        b.case_id = ANY (ARRAY(
            SELECT case_id FROM settlement_case WHERE facility_code = $3 AND period = left($4, 7)))
        AND b.settled_at >= to_date($4, 'YYYY-MM-DD')::timestamp AT TIME ZONE 'Asia/Shanghai'
        AND b.settled_at < (to_date($4, 'YYYY-MM-DD') + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
    """,
    settled="$4::text",
    placed=_ON,
    form="YYYY-MM-DD",
    step="1 day",
    beside=f"""
        b.case_id = ANY (ARRAY(
            SELECT case_id FROM settlement_case WHERE facility_code = $3 AND period = left(beside.time, 7)))
        AND {_ON} = beside.time
    """,
    stated="s.party = $3 AND s.period = left(beside.time, 7) AND s.day = to_date(beside.time, 'YYYY-MM-DD')",
)
_CHAIN = _MONTH._replace(
    booked="""
        b.case_id = ANY (ARRAY(
            SELECT case_id FROM settlement_case WHERE period = $4 AND care_region = $10 AND home_region = $11))
    """,
    beside="""
        b.case_id = ANY (ARRAY(
            SELECT case_id FROM settlement_case
            WHERE period = beside.time AND care_region = $10 AND home_region = $11))
    """,
    stated="s.party = $3 AND s.period = beside.time AND s.care_region = $10 AND s.home_region = $11",
    named="b.care_region = $10 AND b.home_region = $11",
    mark="$10::text, $11::text, ",
)


def _sides(scope: _Scope) -> str:
    """The two sides. A file without numbers of the facility's own is matched by settlement id."""
    return f"""
    booked AS NOT MATERIALIZED (
        SELECT b.settlement_id, b.facility_settlement_no AS number, b.refund, b.home_region,
            {scope.settled} AS settled_period, b.reverses_settlement_id AS reverses, b.total_fen, b.fund_fen,
            b.account_fen, CASE WHEN $6 THEN b.settlement_id ELSE b.facility_settlement_no END AS key
        FROM bill b
        WHERE {scope.booked}
    ), stated AS NOT MATERIALIZED (
        SELECT 0 AS line_no, facility_settlement_no AS number, refund, settlement_id, total_fen, fund_fen, account_fen,
            NULL::date AS settled_on
        FROM statement_line WHERE statement_id = $1 AND $5::bigint IS NULL
        UNION ALL
        SELECT line_no, facility_settlement_no, refund, settlement_id, total_fen, fund_fen, account_fen, settled_on
        FROM statement_file_line WHERE file_no = $5
    )
    """


_PLAIN = """
    (b.total_fen, b.fund_fen, b.account_fen) = (s.total_fen, s.fund_fen, s.account_fen)
    AND coalesce(s.settlement_id = b.settlement_id, true)
"""
_COLUMNS = """
    b.settlement_id AS bill_id, b.number AS bill_number, b.refund AS bill_refund, b.home_region, b.settled_period,
    b.reverses, b.total_fen AS b_total, b.fund_fen AS b_fund, b.account_fen AS b_account, s.line_no,
    s.number AS line_number, s.refund AS line_refund, s.settlement_id AS line_id, s.settled_on, s.total_fen AS s_total,
    s.fund_fen AS s_fund, s.account_fen AS s_account
"""
_KEPT = (
    *("bill_id", "bill_number", "bill_refund", "home_region", "settled_period", "reverses", "line_no"),
    *("line_number", "line_refund", "line_id", "settled_on", "s_total", "s_fund", "s_account"),
)


def _once(columns: str, side: str) -> str:
    """Each bill or line of what is odd once. Only in a crowd does one occur twice: a million need not be looked through
    for that."""
    found = f"{columns} FROM odd WHERE {side} IS NOT NULL AND"
    crowds = "(SELECT crowds FROM census)"
    return f"SELECT {found} NOT {crowds} UNION ALL SELECT DISTINCT {found} {crowds}"


# Of what is plain only the amounts are remembered, so that a million pairs fit into the memory. A key that meets more
# than one partner shows in the census: there are more pairs than bills or lines that have one. Only then such keys are
# looked for, and their plain pairs fetched again.
_BULK = f"""
    joined AS MATERIALIZED (
        SELECT plain, bill_id IS NOT NULL AS booked, line_number IS NOT NULL AS stated, b_total, b_fund, b_account,
            {", ".join(f"CASE WHEN NOT plain THEN {name} END AS {name}" for name in _KEPT)}
        FROM (
            SELECT coalesce({_PLAIN}, false) AS plain, {_COLUMNS}
            FROM booked b FULL JOIN stated s ON s.number = b.key AND s.refund = b.refund OFFSET 0) AS pairs
    ), census AS MATERIALIZED (
        SELECT count(*) FILTER (WHERE booked AND stated)
                > least($8 - count(*) FILTER (WHERE NOT stated), $9 - count(*) FILTER (WHERE NOT booked)) AS crowds,
            count(*) FILTER (WHERE plain) AS count, coalesce(sum(b_total) FILTER (WHERE plain), 0) AS total,
            coalesce(sum(b_fund) FILTER (WHERE plain), 0) AS fund,
            coalesce(sum(b_account) FILTER (WHERE plain), 0) AS account
        FROM joined
    ), crowded AS MATERIALIZED (
        SELECT s.number, s.refund FROM booked b JOIN stated s ON s.number = b.key AND s.refund = b.refund
        WHERE (SELECT crowds FROM census) GROUP BY s.number, s.refund HAVING count(*) > 1
    ), odd AS MATERIALIZED (
        SELECT plain, bill_id, bill_number, bill_refund, home_region, settled_period, reverses, b_total, b_fund,
            b_account, line_no, line_number, line_refund, line_id, settled_on, s_total, s_fund, s_account
        FROM joined WHERE NOT plain
        UNION ALL
        SELECT true, {_COLUMNS}
        FROM booked b JOIN stated s ON s.number = b.key AND s.refund = b.refund
        JOIN crowded c ON c.number = s.number AND c.refund = s.refund
        WHERE (SELECT crowds FROM census) AND {_PLAIN}
    ), left_bill AS MATERIALIZED (
        {
    _once(
        "bill_id, bill_number AS number, bill_refund AS refund, home_region, settled_period, reverses, b_total,"
        " b_fund, b_account",
        "bill_id",
    )
}
    ), left_line AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY line_no, number, refund) AS line, * FROM (
            {
    _once(
        "line_no, line_number AS number, line_refund AS refund, line_id, settled_on, s_total, s_fund, s_account",
        "line_number",
    )
}) AS lines
    )
"""
# 1. The settlement id is the surest name; a refund may also name the settlement it takes back.
_BY_ID = """
    named AS (
        SELECT bill_id AS name, true AS own, * FROM left_bill
        UNION ALL SELECT reverses, false, * FROM left_bill WHERE refund
    ), met_by_id AS (
        SELECT DISTINCT ON (l.line) l.line, b.bill_id, b.own, l.line_no,
            (b_total, b_fund, b_account) = (s_total, s_fund, s_account) AS equal
        FROM left_line l JOIN named b ON b.name = l.line_id AND b.refund = l.refund
        ORDER BY l.line, b.own DESC, b.bill_id
    ), pair_id AS MATERIALIZED (
        SELECT DISTINCT ON (bill_id) bill_id, line FROM met_by_id ORDER BY bill_id, own DESC, equal DESC, line
    ), bill_1 AS NOT MATERIALIZED (
        SELECT * FROM left_bill b WHERE NOT EXISTS (SELECT FROM pair_id p WHERE p.bill_id = b.bill_id)
    ), line_1 AS NOT MATERIALIZED (
        SELECT * FROM left_line l WHERE NOT EXISTS (SELECT FROM pair_id p WHERE p.line = l.line)
    )
"""
_AMOUNTS = ("total", "fund", "account")
# Numbers as people copy them: without case, separators and leading zeros.
_FORM = "ltrim(regexp_replace(upper(number), '[^0-9A-Z]', '', 'g'), '0')"

_LAST_STEP = 4
"""What is left after each step but the last is found again where it is asked for: kept, it were as many copies."""


def _paired(step: int, name: str, key: str, *, amounts: bool, unnamed: bool) -> str:
    """A step that pairs what is left by a key, the first bill with the first line and so on; what it leaves over."""
    bill_key = ", ".join([key, "refund", *(f"b_{a}" for a in _AMOUNTS if amounts)])
    line_key = ", ".join([key, "refund", *(f"s_{a}" for a in _AMOUNTS if amounts)])
    names = ", ".join(f"k{n}" for n in range(bill_key.count(", ") + 1 - key.count(", ")))
    kept = "MATERIALIZED" if step == _LAST_STEP else "NOT MATERIALIZED"
    return f"""
    pair_{name} AS MATERIALIZED (
        SELECT bill_id, line FROM (
            SELECT bill_id, {bill_key}, row_number() OVER (PARTITION BY {bill_key} ORDER BY bill_id)
            FROM bill_{step - 1} WHERE EXISTS (SELECT FROM line_{step - 1})) AS b (bill_id, {names}, nth)
        JOIN (
            SELECT line, {line_key}, row_number() OVER (PARTITION BY {line_key} ORDER BY line)
            FROM line_{step - 1}
            WHERE EXISTS (SELECT FROM bill_{step - 1}) {"AND line_id IS NULL" if unnamed else ""}
            ) AS l (line, {names}, nth)
        USING ({names}, nth) WHERE k0 <> ''
    ), bill_{step} AS {kept} (
        SELECT * FROM bill_{step - 1} b WHERE NOT EXISTS (SELECT FROM pair_{name} p WHERE p.bill_id = b.bill_id)
    ), line_{step} AS {kept} (
        SELECT * FROM line_{step - 1} l WHERE NOT EXISTS (SELECT FROM pair_{name} p WHERE p.line = l.line)
    )
    """


# 2. to 4.
_STEPS = (
    _paired(2, "exact", "number", amounts=True, unnamed=True),
    _paired(3, "number", "number", amounts=False, unnamed=True),
    _paired(4, "form", _FORM, amounts=True, unnamed=False),
)


def _around(scope: _Scope) -> str:
    """What surrounds the rest: bills and statements of the months, or days, beside this one, bills that are taken
    already, and the settlements that lonely refunds take back.
    """
    return f"""
    beside (time) AS (
        SELECT to_char(to_date($4, '{scope.form}') + n * interval '{scope.step}', '{scope.form}')
        FROM unnest(ARRAY[-1, 1]) AS n
    ), booked_beside AS (
        SELECT DISTINCT ON (l.line) l.line, beside.time AS period
        FROM beside CROSS JOIN LATERAL (
            SELECT b.facility_settlement_no AS number, b.refund FROM bill b WHERE {scope.beside} OFFSET 0) AS b
        JOIN line_4 l ON l.number = b.number AND l.refund = b.refund
        ORDER BY l.line, beside.time
    ), lines_beside AS (
        SELECT beside.time AS period, s.statement_id, f.file_no
        FROM beside CROSS JOIN LATERAL (
            SELECT s.statement_id FROM statement s WHERE s.state <> 'replaced' AND {scope.stated} OFFSET 0) AS s
        LEFT JOIN LATERAL (
            SELECT file_no FROM statement_file WHERE statement_id = s.statement_id AND state = 'accepted' LIMIT 1
        ) AS f ON true
    ), stated_beside AS (
        SELECT o.period, l.number, l.refund, l.settlement_id
        FROM lines_beside o CROSS JOIN LATERAL (
            SELECT facility_settlement_no AS number, refund, settlement_id
            FROM statement_line WHERE statement_id = o.statement_id
            UNION ALL
            SELECT facility_settlement_no, refund, settlement_id FROM statement_file_line WHERE file_no = o.file_no
            OFFSET 0) AS l
    ), bill_beside AS (
        SELECT DISTINCT ON (bill_id) bill_id, period FROM (
            SELECT b.bill_id, o.period FROM bill_4 b JOIN stated_beside o USING (number, refund)
            UNION ALL
            SELECT b.bill_id, o.period FROM bill_4 b JOIN stated_beside o
            ON o.settlement_id = b.bill_id AND o.refund = b.refund) AS found
        ORDER BY bill_id, period
    ), taken AS (
        SELECT DISTINCT l.line FROM line_4 l JOIN odd o
        ON (o.line_no, o.line_number, o.line_refund) = (l.line_no, l.number, l.refund)
        WHERE o.bill_id IS NOT NULL AND NOT EXISTS (SELECT FROM bill_4 b WHERE b.bill_id = o.bill_id)
    ), taken_back AS (
        SELECT DISTINCT l.line FROM line_4 l JOIN booked b ON b.number = l.number
        WHERE l.refund AND NOT b.refund
    )
    """


def _classed(scope: _Scope) -> str:
    """Every bill and every line that is not plain in its class."""
    return f"""
    paired AS (
        SELECT CASE
                WHEN (b_total, b_fund, b_account) <> (s_total, s_fund, s_account) THEN
                    CASE WHEN greatest(abs(b_total - s_total), abs(b_fund - s_fund), abs(b_account - s_account)) <= $7
                         THEN 'within_tolerance' ELSE 'amount_differs' END
                WHEN how = 'form' OR (how = 'id' AND l.number NOT IN (b.number, l.line_id)) THEN 'key_differs'
                ELSE 'agreed' END AS class,
            b.number, b.refund, b.bill_id AS settlement_id, b.home_region, b_total, b_fund, b_account,
            s_total, s_fund, s_account, nullif(l.line_no, 0) AS line_no,
            CASE WHEN l.number NOT IN (b.number, coalesce(l.line_id, '')) THEN l.number END AS stated_no,
            CASE WHEN l.line_id <> b.bill_id THEN l.line_id END AS stated_id, NULL::text AS other_period,
            'b:' || b.bill_id AS item_key
        FROM (SELECT 'id' AS how, * FROM pair_id UNION ALL SELECT 'exact', * FROM pair_exact
              UNION ALL SELECT 'number', * FROM pair_number UNION ALL SELECT 'form', * FROM pair_form) AS pairs
        JOIN left_bill b USING (bill_id) JOIN left_line l USING (line)
    ), alone_booked AS (
        SELECT CASE
                WHEN b.settled_period <> $4 OR o.period IS NOT NULL THEN 'period_differs'
                WHEN b.refund AND known.settlement_id IS NOT NULL AND lost.bill_id IS NULL THEN 'reversed_on_one_side'
                ELSE 'missing_in_statement' END AS class,
            b.number, b.refund, b.bill_id, b.home_region, b.b_total, b.b_fund, b.b_account, NULL::bigint, NULL::bigint,
            NULL::bigint, NULL::int, NULL::text, NULL::text,
            CASE WHEN b.settled_period <> $4 THEN b.settled_period ELSE o.period END, 'b:' || b.bill_id
        FROM bill_4 b LEFT JOIN bill_beside o ON o.bill_id = b.bill_id
        LEFT JOIN LATERAL (
            SELECT settlement_id FROM bill WHERE settlement_id = b.reverses
            UNION ALL
            SELECT b.reverses WHERE {archived("b.reverses")} LIMIT 1) AS known ON true
        LEFT JOIN bill_4 lost ON lost.bill_id = b.reverses
    ), alone_stated AS (
        SELECT CASE
                WHEN taken.line IS NOT NULL OR (x.period = $4 AND x.refund = l.refund)
                    OR row_number() OVER (PARTITION BY l.number, l.refund ORDER BY line) > 1
                    OR (line_id IS NOT NULL
                        AND row_number() OVER (PARTITION BY line_id, l.refund ORDER BY line) > 1) THEN 'duplicate'
                WHEN (x.period <> $4 AND x.refund = l.refund) OR (x.period IS NULL AND o.period IS NOT NULL)
                    OR to_char(l.settled_on, '{scope.form}') <> $4 THEN 'period_differs'
                WHEN l.refund AND (NOT x.refund OR taken_back.line IS NOT NULL) THEN 'reversed_on_one_side'
                ELSE 'missing_in_books' END AS class,
            l.number, l.refund, line_id, NULL::text, NULL::bigint, NULL::bigint, NULL::bigint, s_total, s_fund,
            s_account, nullif(l.line_no, 0), NULL::text, NULL::text,
            coalesce(CASE WHEN x.refund = l.refund THEN nullif(x.period, $4) END,
                     CASE WHEN x.period IS NULL THEN o.period END, nullif(to_char(l.settled_on, '{scope.form}'), $4)),
            concat_ws(':', 'l', {scope.mark}row_number() OVER (PARTITION BY l.number, l.refund ORDER BY line), l.refund,
                l.number)
        FROM line_4 l LEFT JOIN LATERAL (
            SELECT {scope.placed} AS period, b.refund FROM bill b
            WHERE b.settlement_id = l.line_id AND {scope.named} LIMIT 1) AS x ON true
        LEFT JOIN booked_beside o USING (line) LEFT JOIN taken USING (line) LEFT JOIN taken_back USING (line)
    ), classed AS MATERIALIZED (
        SELECT * FROM paired UNION ALL SELECT * FROM alone_booked UNION ALL SELECT * FROM alone_stated
    )
    """


# What is not agreed is kept, and the numbers of each class, which are all the match answers.
_RESULT = """
    kept AS (
        INSERT INTO difference (statement_id, match_no, position, difference_class, facility_settlement_no, refund,
            settlement_id, home_region, books_total_fen, books_fund_fen, books_account_fen, stated_total_fen,
            stated_fund_fen, stated_account_fen, line_no, stated_settlement_no, stated_settlement_id, other_period,
            item_key)
        SELECT $1, $2, row_number() OVER (ORDER BY number, refund, class, item_key), class, number, refund,
            settlement_id, home_region, b_total, b_fund, b_account, s_total, s_fund, s_account, line_no, stated_no,
            stated_id, other_period, item_key
        FROM classed WHERE class <> 'agreed'
    )
    INSERT INTO statement_class (statement_id, match_no, difference_class, books_bill_count, books_total_fen,
        books_fund_fen, books_account_fen, stated_bill_count, stated_total_fen, stated_fund_fen, stated_account_fen)
    SELECT $1, $2, class, sum(b_count), sum(b_total), sum(b_fund), sum(b_account), sum(s_count), sum(s_total),
        sum(s_fund), sum(s_account)
    FROM (
        SELECT class, count(b_total) AS b_count, coalesce(sum(b_total), 0) AS b_total,
            coalesce(sum(b_fund), 0) AS b_fund, coalesce(sum(b_account), 0) AS b_account, count(s_total) AS s_count,
            coalesce(sum(s_total), 0) AS s_total, coalesce(sum(s_fund), 0) AS s_fund,
            coalesce(sum(s_account), 0) AS s_account
        FROM classed GROUP BY class
        UNION ALL
        SELECT 'agreed', c.count - o.count, c.total - o.total, c.fund - o.fund, c.account - o.account,
            c.count - o.count, c.total - o.total, c.fund - o.fund, c.account - o.account
        FROM census c, (
            SELECT count(*), coalesce(sum(b_total), 0) AS total, coalesce(sum(b_fund), 0) AS fund,
                coalesce(sum(b_account), 0) AS account
            FROM odd WHERE plain) AS o
        WHERE c.count > o.count
    ) AS parts GROUP BY class
"""


def _match(scope: _Scope) -> str:
    return "WITH" + ",".join((_sides(scope), _BULK, _BY_ID, *_STEPS, _around(scope), _classed(scope), _RESULT))


MATCHES = {Scope.MONTH: _match(_MONTH), Scope.DAY: _match(_DAY), Scope.CHAIN: _match(_CHAIN)}

CLASSES = """
    SELECT difference_class, books_total_fen, books_fund_fen, books_account_fen, books_bill_count,
        stated_total_fen, stated_fund_fen, stated_account_fen, stated_bill_count
    FROM statement_class WHERE statement_id = $1 AND match_no = $2 ORDER BY difference_class
"""

DIFFERS = """
    SELECT EXISTS (
        SELECT FROM statement_class WHERE statement_id = $1 AND match_no = $2
        AND difference_class NOT IN ('agreed', 'within_tolerance'))
"""

MATCH_TIMEOUT_S = 300.0
"""A month of a large hospital takes longer to match than the queries of daily work may."""


async def use_memory(tx: Connection, memory_mb: int) -> None:
    """Let the database use so much for each step of what this transaction compares."""
    await tx.execute(MATCH_MEMORY, f"{memory_mb}MB")


async def avoid_loops(tx: Connection) -> None:
    """Join what nobody can estimate by hashing or sorting, until it is allowed again or the transaction ends."""
    await tx.execute(LOOPS, "off")


async def allow_loops(tx: Connection) -> None:
    """Join as usual."""
    await tx.execute(LOOPS, "on")


async def match(
    tx: Connection,
    of: Statement,
    match_no: int,
    file: File | None,
    *,
    counts: tuple[int, int],
    tolerance_fen: int,
) -> list[ClassNumbers]:
    """Match lines and books bill by bill, keep the differences; the numbers of each class.

    `counts` are the bills in the books and the lines of the statement.
    """
    file_no, by_settlement_id = (file.file_no, not file.numbered) if file else (None, False)
    await avoid_loops(tx)
    await tx.execute(
        MATCHES[of.scope],
        of.statement_id,
        match_no,
        of.party,
        of.period if of.day is None else str(of.day),
        file_no,
        by_settlement_id,
        tolerance_fen,
        *counts,
        *(() if of.home_region is None else (of.care_region, of.home_region)),
        timeout=MATCH_TIMEOUT_S,
    )
    await allow_loops(tx)
    return await classes(tx, of.statement_id, match_no)


async def differs(tx: Connection, statement_id: str, match_no: int) -> bool:
    """Whether a match found any difference."""
    return await tx.fetchval(DIFFERS, statement_id, match_no)  # type: ignore[no-any-return]


async def classes(tx: Connection, statement_id: str, match_no: int) -> list[ClassNumbers]:
    """What a match put into each class; empty when only totals were compared."""
    rows = await tx.fetch(CLASSES, statement_id, match_no)
    return [ClassNumbers(DifferenceClass(row[0]), Sums(*row[1:5]), Sums(*row[5:])) for row in rows]
