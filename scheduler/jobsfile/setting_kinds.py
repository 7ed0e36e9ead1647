"""Values that one key of the file has for itself: its version, the lead, the ledger, its group, attempts, names of parameters."""

import re
from typing import Any

from scheduler.errors import quoted
from scheduler.instants import SECOND, duration_ns
from scheduler.jobsfile.faults import Fault, Wrong, must, not_yet, wrong_type
from scheduler.jobsfile.values import Kind, auto_or, duration, text
from scheduler.policies import lead

_LEDGER = re.compile(r"sqlite(\+pysqlite)?:///|postgresql(\+psycopg)?://|\$\{")
_LEDGER_HINT = "sqlite:////var/lib/tminus/ledger.db, or postgresql+psycopg://host/database"
_PARAM = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
_LEAD_IN_BOUNDS = duration("0.1s", f"{lead.LONGEST_NS // SECOND}s", "3s")


def _version(value: Any) -> int:
    if type(value) is int and value == 1:
        return value
    raise must("be 1", hint="write version: 1")


def _lead(value: Any) -> int:
    found = duration_ns(value)
    if found is not None and found > lead.LONGEST_NS:
        written = value if isinstance(value, str) else f"{value:g}s"
        words = f"{written} exceeds {lead.LONGEST_NS // SECOND}s (targets close idle connections)"
        raise Wrong(Fault(words=words, joint=" ", hint="write auto, and it is learned"))
    return int(_LEAD_IN_BOUNDS.parse(value))


def _ledger(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("an SQLAlchemy URL", value, hint=_LEDGER_HINT)
    if not _LEDGER.match(value):
        raise Wrong(Fault(words="must be an SQLAlchemy URL", joint=" ", hint=_LEDGER_HINT))
    return value


def _one_attempt(value: Any) -> int:
    hint = "write 1, or leave it out"
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("an integer", value, hint=hint)
    if value < 1:
        raise must("be 1 or more", hint=hint)
    if value > 1:
        raise not_yet("more than 1 attempt", hint=hint)
    return value


def _param_name(value: Any) -> str:
    if not _PARAM.fullmatch(value):
        words, hint = f"{quoted(value)} is not the name of a parameter", "letters, digits, _ and -, a letter or _ first"
        raise Wrong(Fault(words=words, hint=hint, on_key=True, of_owner=True))
    return str(value)


GROUP = text(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "be the name of a group", hint="`getent group` lists them")
FILE_VERSION = Kind(_version, {"const": 1})
LEAD = auto_or(Kind(_lead, _LEAD_IN_BOUNDS.schema))
LEDGER = Kind(_ledger, {"type": "string"})
ONE_ATTEMPT = Kind(_one_attempt, {"const": 1})
PARAM_NAME = Kind(_param_name, {"type": "string"})
