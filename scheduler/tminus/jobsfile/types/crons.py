"""Cron texts in the jobs file. `schedule` knows what they mean."""

import re
from functools import lru_cache
from typing import Any

from tminus.errors import shorten
from tminus.jobsfile.text.faults import Fault, InvalidValue, text_fault, wrong_type
from tminus.jobsfile.types.values import ValueType
from tminus.schedule.cron import HORIZON_DAYS, parse
from tminus.schedule.cron_text import NICKNAMES, InvalidCron, no_such_day
from tminus.suggestions import suggest

_EVERY = re.compile(r"@every\s+(\w+)", re.IGNORECASE)
_LONGEST = 1_000
#: Where a search for a day begins, counted from 1970-01-01: 2024, a leap year.
_START_DAY = 19_723


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        hint = "write schedule: [{cron: …}, {cron: …}]" if isinstance(value, list) else "put it in quotes"
        raise wrong_type("a cron text", value, hint=hint)
    text = NICKNAMES.get(value.strip().lower(), value)
    if fault := _fault(text):
        raise InvalidValue(fault)
    return text


CRON = ValueType(_parse, {"type": "string", "examples": ["30 11 * * mon-fri", "*/10 * * * * *", "@daily"]})


@lru_cache(maxsize=16384)
def _fault(text: str) -> Fault | None:
    if text.strip().startswith("@"):
        if every := _EVERY.fullmatch(text.strip()):
            hint = f"write schedule: {{every: {every[1]}}}"
            return Fault(message=f"{shorten(text.strip(), 20)} is not a cron text", hint=hint)
        hint = suggest(text.strip().lower(), NICKNAMES, otherwise=f"there are: {', '.join(NICKNAMES)}")
        return Fault(message=f"{shorten(text.strip(), 20)} is not a cron text", hint=hint)
    if len(text) > _LONGEST:
        return Fault(message=f"a cron text has at most {_LONGEST} characters", hint="use several schedules")
    try:
        if next(parse(text).days(_START_DAY, _START_DAY + HORIZON_DAYS), None) is None:
            raise no_such_day(text)
    except InvalidCron as error:
        return text_fault(error)
    return None
