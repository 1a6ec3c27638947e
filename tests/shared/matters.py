"""Eight matters of the founding documents, declared: what the tests of casework work on."""

from __future__ import annotations

from shared.casework import Matter, Paper, Step

OFFICER, REVIEWER, HEAD, FINANCE = "officer", "reviewer", "head", "finance"


def roles(*names: str) -> frozenset[str]:
    return frozenset(names)


IDENTITY = Paper("identity", "有效身份证件或社保卡", "identity card or social security card", roles("card"))
WAITING = Step("supplement", roles("person", OFFICER), {"supply": "accept"}, pauses=True, by_asker=True)

REMOTE_FILING = Matter(
    "remote-filing-resident",
    "常驻异地工作人员备案",
    "remote filing of a resident working elsewhere",
    papers=(
        IDENTITY,
        Paper(
            "employer_proof", "异地工作证明材料", "proof of work elsewhere", roles("work_contract", "written_promise")
        ),
    ),
    steps=(Step("review", roles(OFFICER), {"approve": "approved", "refuse": "refused"}),),
    clock_working_days=0,
)

MONTHLY_SETTLEMENT = Matter(
    "facility-monthly-settlement",
    "定点医疗机构费用结算",
    "monthly settlement of a facility",
    papers=(Paper("summary", "月结算汇总表", "monthly summary"), Paper("details", "就诊结算记录明细", "details")),
    steps=(
        Step("accept", roles(OFFICER), {"accept": "first_review", "refuse": "refused"}),
        Step("first_review", roles(REVIEWER), {"send": "feedback"}),
        Step(
            "feedback",
            roles("facility"),
            {"agree": "second_review", "object": "second_review"},
            clock_working_days=5,
            pauses=True,
            by_asker=True,
            with_reason=roles("object"),
        ),
        Step(
            "second_review",
            roles(REVIEWER),
            {"confirm": "head", "repeat": "first_review"},
            reviews=("first_review",),
            with_reason=roles("repeat"),
        ),
        Step(
            "head", roles(HEAD), {"approve": "finance", "refuse": "refused"}, reviews=("first_review", "second_review")
        ),
        Step("finance", roles(FINANCE), {"pay": "approved"}, reviews=("first_review", "second_review", "head")),
    ),
    clock_working_days=30,
)

PAPER_CLAIM = Matter(
    "paper-claim-outpatient",
    "门诊费用报销",
    "outpatient paper claim",
    papers=(
        IDENTITY,
        Paper("receipt", "医院收费票据", "receipt"),
        Paper("fee_list", "门急诊费用清单", "list of fees"),
        Paper("bank_card", "社保卡或银行卡复印件", "bank card copy", roles("card")),
        Paper("authorisation", "转账授权书", "authorisation of transfer", when=roles("other_account")),
        Paper("test_results", "相关医学检查材料", "test results", when=roles("limited_drugs")),
        Paper("agent_identity", "代办人身份证件", "agent's identity card", when=roles("agent")),
    ),
    steps=(
        Step(
            "accept",
            roles(OFFICER),
            {"accept": "first_review", "return": "supplement", "refuse": "refused"},
            with_reason=roles("return"),
        ),
        WAITING,
        Step("first_review", roles(REVIEWER), {"pass": "second_review", "refuse": "refused"}, reviews=("accept",)),
        Step(
            "second_review",
            roles(REVIEWER),
            {"pass": "finance", "repeat": "first_review", "refuse": "refused"},
            reviews=("first_review",),
            with_reason=roles("repeat"),
        ),
        Step("finance", roles(FINANCE), {"pay": "archive"}, reviews=("first_review", "second_review")),
        Step("archive", roles(FINANCE), {"archive": "approved"}),
    ),
    clock_working_days=30,
)

CHRONIC_DISEASE = Matter(
    "chronic-disease",
    "门诊慢特病病种待遇认定",
    "chronic disease entitlement",
    papers=(
        IDENTITY,
        Paper("form", "慢性病申请审核表", "application form"),
        Paper("diagnosis", "诊断证明、门诊病历或出院记录", "diagnosis and record", roles("discharge_note")),
    ),
    steps=(
        Step("accept", roles(OFFICER), {"daily": "experts", "batch": "session", "refuse": "refused"}),
        Step("experts", roles("expert"), {"grant": "publish", "refuse": "refused"}, quorum=2),
        Step("session", roles("expert"), {"grant": "publish", "refuse": "refused"}, quorum=3),
        Step("publish", roles(OFFICER), {"publish": "approved"}),
    ),
    clock_working_days=20,
)

AGREEMENT = Matter(
    "agreement-application",
    "医疗机构申请定点协议管理",
    "application of a facility for an agreement",
    papers=(
        Paper("application", "申请书", "application"),
        Paper("licence", "医疗机构执业许可证或中医诊所备案证", "practice licence or TCM filing", roles("tcm_filing")),
        Paper("departments", "科室设置表", "departments"),
        Paper("staff", "卫生技术人员名册", "registered staff"),
    ),
    steps=(
        Step("accept", roles(OFFICER), {"accept": "review", "refuse": "refused"}),
        Step("review", roles(REVIEWER), {"pass": "site", "refuse": "refused"}, reviews=("accept",)),
        Step("site", roles("expert"), {"qualified": "publication", "unqualified": "refused"}, quorum=3),
        Step(
            "publication",
            roles(OFFICER),
            {"no_objection": "agreement", "objection": "site"},
            with_reason=roles("objection"),
            clock_working_days=7,
        ),
        Step("agreement", roles(HEAD), {"sign": "approved", "refuse": "refused"}, reviews=("review", "publication")),
    ),
    clock_working_days=30,
)

TRANSFER = Matter(
    "relation-transfer",
    "医疗保险关系转移接续",
    "relation moves between areas",
    papers=(IDENTITY, Paper("application", "转移申请表", "application")),
    steps=(
        Step("contact_letter", roles("new_area"), {"send": "certificate", "refuse": "refused"}, clock_working_days=15),
        Step("certificate", roles("old_area"), {"return": "entry", "refuse": "refused"}, clock_working_days=15),
        Step("entry", roles("new_area"), {"enter": "approved"}, clock_working_days=15),
    ),
)

EMERGENCY_REFERRAL = Matter(
    "referral-out-of-county",
    "县外转诊审批",
    "referral out of the county, by telephone first in an emergency",
    papers=(IDENTITY, Paper("form", "转诊审批表", "referral form", may_follow=roles("emergency"))),
    steps=(
        Step("review", roles(OFFICER), {"approve": "papers", "refuse": "refused"}),
        Step(
            "papers",
            roles("person", OFFICER),
            {"complete": "approved", "lapse": "refused"},
            clock_days=3,
            by_asker=True,
            completes_papers=True,
        ),
    ),
)

CASE_OF_30_DAYS = Matter(
    "huaiyang-paper-claim",
    "县外住院补助",
    "paper claim for a stay out of the county",
    papers=(),
    steps=(
        Step("record_review", roles(REVIEWER), {"pass": "supervision", "wait": "family"}),
        Step("family", roles("person"), {"come": "supervision"}, pauses=True, by_asker=True),
        Step("supervision", roles(HEAD), {"pay": "approved"}, reviews=("record_review",)),
    ),
    clock_days=30,
)

MATTERS = [
    REMOTE_FILING,
    MONTHLY_SETTLEMENT,
    PAPER_CLAIM,
    CHRONIC_DISEASE,
    AGREEMENT,
    TRANSFER,
    EMERGENCY_REFERRAL,
    CASE_OF_30_DAYS,
]
