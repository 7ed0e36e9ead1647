"""Cron texts in the jobs file. `schedule` knows what they mean."""

from functools import lru_cache
from typing import Any

from tminus.errors import shorten
from tminus.jobsfile.text.faults import Fault, InvalidValue, text_fault, wrong_type
from tminus.jobsfile.types.values import ValueType
from tminus.schedule.cron import HORIZON_DAYS, parse
from tminus.schedule.cron_text import InvalidCron, no_such_day
from tminus.suggestions import suggest

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = 1_000
#: Where a search for a day begins, counted from 1970-01-01: 2024, a leap year.
_START_DAY = 19_723


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        hint = "write schedule: [{cron: …}, {cron: …}]" if isinstance(value, list) else "put it in quotes"
        raise wrong_type("a cron text", value, hint=hint)
    text = _NICKNAMES.get(value.strip().lower(), value)
    if fault := _fault(text):
        raise InvalidValue(fault)
    return text


CRON = ValueType(_parse, {"type": "string", "examples": ["30 11 * * mon-fri", "*/10 * * * * *", "@daily"]})


@lru_cache(maxsize=16384)
def _fault(text: str) -> Fault | None:
    if text.strip().startswith("@"):
        hint = suggest(text.strip().lower(), _NICKNAMES, otherwise=f"there are: {', '.join(_NICKNAMES)}")
        return Fault(message=f"{shorten(text.strip(), 20)} is not a cron text", hint=hint)
    if len(text) > _LONGEST:
        return Fault(message=f"a cron text has at most {_LONGEST} characters", hint="use several schedules")
    try:
        if next(parse(text).days(_START_DAY, _START_DAY + HORIZON_DAYS), None) is None:
            raise no_such_day(text)
    except InvalidCron as error:
        return text_fault(error)
    return None
