"""The values of `retry_on`: causes, status codes and classes, and exceptions."""

import re
from typing import Any

from tminus.jobsfile.text.faults import InvalidValue, invalid_value
from tminus.jobsfile.types.http_types import STATUS
from tminus.jobsfile.types.values import ValueType
from tminus.model.job import StatusRange
from tminus.policies.retry import WORDS
from tminus.suggestions import nearest

#: `Name` or `module.Name`. A class has a capital letter, a cause has none: so a misspelled cause is found.
EXCEPTION = r"([A-Za-z_][A-Za-z0-9_]*\.)*_?[A-Z][A-Za-z0-9_]*"
_EXCEPTION = re.compile(EXCEPTION)

#: A word of `policies.retry.WORDS`, the name of an exception, or status codes.
RetryReason = str | StatusRange


def _retry_reason(value: Any) -> RetryReason:
    if value in WORDS:
        return str(value)
    if isinstance(value, str) and _EXCEPTION.fullmatch(value):
        return value
    try:
        return STATUS.parse(value)
    except InvalidValue:
        near = nearest(value, WORDS) if isinstance(value, str) else None
        hint = f"did you mean {near}?" if near else f"causes are {', '.join(WORDS)}"
        raise invalid_value(
            "be a cause such as timeout, a status such as 503 or 5xx, or an exception such as TimeoutError",
            hint=hint,
        ) from None


RETRY_REASON: ValueType[RetryReason] = ValueType(
    _retry_reason,
    {"anyOf": [{"enum": list(WORDS)}, dict(STATUS.schema), {"type": "string", "pattern": f"^{EXCEPTION}$"}]},
)
