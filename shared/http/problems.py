"""Answers that say no: RFC 9457 problem documents, naming everything that is wrong, in Chinese or English."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry import trace
from pydantic import ValidationError
from starlette.responses import Response

from shared.refusals import Refusal, RefusalKind, declare

MEDIA_TYPE = "application/problem+json"

MALFORMED_JSON = declare(
    "request.malformed-json",
    status=400,
    zh="请求正文不是合法的 JSON：{reason}。",
    en="The body is not valid JSON: {reason}.",
)
NOT_JSON = declare(
    "request.not-json",
    status=415,
    zh="请求正文必须是 application/json。",
    en="The body must be application/json.",
)
FIELD_MISSING = declare(
    "request.field-missing", status=422, zh="缺少字段 {field}。", en="The field {field} is missing."
)
FIELD_UNKNOWN = declare(
    "request.field-unknown", status=422, zh="不认识的字段 {field}。", en="The field {field} is not known."
)
FIELD_INVALID = declare(
    "request.field-invalid",
    status=422,
    zh="字段 {field} 不合要求：{reason}。",
    en="The field {field} is not valid: {reason}.",
)
TOO_LARGE = declare(
    "request.too-large",
    status=413,
    zh="请求正文超过 {limit_bytes} 字节。",
    en="The body is larger than {limit_bytes} bytes.",
)
NOT_FOUND = declare(
    "request.not-found", status=404, zh="没有这个地址或对象。", en="There is no such address or object."
)
METHOD_NOT_ALLOWED = declare(
    "request.method-not-allowed", status=405, zh="此地址不支持该方法。", en="This address does not take that method."
)
OVERLOADED = declare(
    "service.overloaded",
    status=503,
    zh="系统繁忙，请稍后以同一幂等键重试。",
    en="Too busy; retry later with the same key.",
)
UNAVAILABLE = declare(
    "service.unavailable",
    status=503,
    zh="{part} 暂时不可用，请稍后以同一幂等键重试。",
    en="{part} is away for the moment; retry later with the same key.",
)
INTERNAL = declare(
    "service.internal-error",
    status=500,
    zh="系统内部错误，已记录，追踪号 {trace_id}。",
    en="Something broke on our side and was recorded as trace {trace_id}.",
)


def language_of(accept: str | None) -> str:
    """ "en" when English is preferred to Chinese, else "zh"."""
    best, best_weight = "zh", 0.0
    for choice in (accept or "").lower().split(",")[:20]:
        tag, _, weight_text = choice.partition(";q=")
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        primary = tag.strip().split("-")[0]
        if primary in ("zh", "en") and weight > best_weight:
            best, best_weight = primary, weight
    return best


def document(refusals: Sequence[Refusal], language: str, status: int | None = None) -> dict[str, Any]:
    """The problem document of some refusals; the first one names the problem."""
    first = refusals[0]
    context = trace.get_current_span().get_span_context()
    return {
        "type": f"urn:sifang:problem:{first.code}",
        "title": first.text(language),
        "status": status or first.kind.status,
        "code": first.code,
        "errors": [
            {"code": r.code, "detail": r.text(language), "pointer": r.pointer, "params": dict(r.params)}
            for r in refusals
        ],
        "trace_id": f"{context.trace_id:032x}" if context.is_valid else None,
    }


def problem(refusals: Sequence[Refusal], language: str) -> Response:
    """The answer that utters some refusals."""
    body = document(refusals, language)
    headers = {"Content-Language": language}
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if body["status"] == 503:
        headers["Retry-After"] = "2"
    return Response(json.dumps(body, ensure_ascii=False), body["status"], headers, MEDIA_TYPE)


def from_validation(error: ValidationError, place: str) -> list[Refusal]:
    """Every field a model did not take. `place` is "" for the body, "query" or "path". Values are never repeated."""
    return [_field_refusal(e, place) for e in error.errors(include_url=False, include_input=False)]


def _field_refusal(error: Any, place: str) -> Refusal:
    kind, location = error["type"], [str(part) for part in error["loc"]]
    if kind == "json_invalid":
        return MALFORMED_JSON(reason=str(error.get("ctx", {}).get("error", "")))
    pointer = "/" + "/".join(p.replace("~", "~0").replace("/", "~1") for p in ([place] if place else []) + location)
    name = ".".join(location) or place or "body"
    if kind == "missing":
        return FIELD_MISSING(pointer=pointer, field=name)
    if kind == "extra_forbidden":
        return FIELD_UNKNOWN(pointer=pointer, field=name[:200])
    return FIELD_INVALID(pointer=pointer, field=name[:200], reason=_reason(error))


def _reason(error: Any) -> str:
    context = {k: str(v) for k, v in error.get("ctx", {}).items()}
    return f"{_ZH.get(error['type'], '格式不正确').format(**context)} / {error['msg']}"


_ZH = {
    "string_too_long": "过长，最多 {max_length} 个字符",
    "string_too_short": "过短，至少 {min_length} 个字符",
    "string_type": "应为字符串",
    "string_pattern_mismatch": "格式不正确",
    "int_type": "应为整数",
    "int_from_float": "应为整数（金额以分为单位）",
    "bool_type": "应为布尔值",
    "greater_than_equal": "不得小于 {ge}",
    "less_than_equal": "不得大于 {le}",
    "greater_than": "应大于 {gt}",
    "date_from_datetime_parsing": "不是有效日期",
    "date_parsing": "不是有效日期",
    "date_type": "应为日期",
    "datetime_from_date_parsing": "不是有效时间",
    "datetime_parsing": "不是有效时间",
    "timezone_aware": "时间须带时区",
    "literal_error": "不是允许的取值",
    "enum": "不是允许的取值",
    "too_long": "过多，最多 {max_length} 项",
    "too_short": "过少，至少 {min_length} 项",
    "decimal_max_places": "小数位数过多",
    "decimal_max_digits": "位数过多",
    "value_error": "不合规则",
}


def examples(kinds: Iterable[RefusalKind]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with one example for each refusal an operation can utter, grouped by status."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        response = by_status.setdefault(
            kind.status,
            {
                "description": "Refused 拒绝",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        response["content"][MEDIA_TYPE]["examples"][kind.code] = {"summary": kind.zh, "value": _example(kind)}
    return by_status


def _example(kind: RefusalKind) -> dict[str, Any]:
    refusal = Refusal(kind.code)
    body = document([refusal], "en")
    return {**body, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem document; `errors` names everything that is wrong at once.",
    "type": "object",
    "required": ["type", "title", "status", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable code of the first refusal; see docs/errors.md"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "pointer": {"type": ["string", "null"]},
                    "params": {"type": "object"},
                },
            },
        },
        "trace_id": {"type": ["string", "null"]},
    },
}
