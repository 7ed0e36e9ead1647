"""Types of single keys: the version, the lead, the ledger, its group, names of parameters."""

import re
from typing import Any

from tminus.errors import quoted
from tminus.instants import SECOND, duration_ns
from tminus.jobsfile.text.faults import Fault, InvalidValue, invalid_value, key_fault, wrong_type
from tminus.jobsfile.types.values import ValueType, duration, or_auto, text
from tminus.policies import lead

_LEDGER = re.compile(r"sqlite(\+pysqlite)?:///|postgresql(\+psycopg)?://|\$\{")
_LEDGER_HINT = "sqlite:////var/lib/tminus/ledger.db, or postgresql+psycopg://host/database"
_PARAM = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST_LEAD = f"{lead.LONGEST_NS // SECOND}s"
_AUTO_OR_LEAD = or_auto(duration("0.1s", _LONGEST_LEAD, example="3s"), f"0.1s–{_LONGEST_LEAD}, e.g. 3s")


def _version(value: Any) -> int:
    if type(value) is int and value == 1:
        return value
    raise invalid_value("be 1", hint="write version: 1")


def _lead(value: Any) -> int | None:
    found = duration_ns(value)
    if found is not None and found > lead.LONGEST_NS:
        written = value if isinstance(value, str) else f"{value:g}s"
        message = f"{written} exceeds {_LONGEST_LEAD} (targets close idle connections)"
        raise InvalidValue(Fault(message=message, joint=" ", hint="write auto, and it is learned"))
    return _AUTO_OR_LEAD.parse(value)


def _ledger(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("an SQLAlchemy URL", value, hint=_LEDGER_HINT)
    if not _LEDGER.match(value):
        raise InvalidValue(Fault(message="must be an SQLAlchemy URL", joint=" ", hint=_LEDGER_HINT))
    return value


def _param_name(value: Any) -> str:
    if not _PARAM.fullmatch(value):
        message = f"{quoted(value)} is not the name of a parameter"
        raise InvalidValue(key_fault((), message, hint="letters, digits, _ and -, a letter or _ first"))
    return str(value)


GROUP = text(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "be the name of a group", hint="`getent group` lists them")
FILE_VERSION = ValueType(_version, {"const": 1})
LEAD = ValueType(_lead, _AUTO_OR_LEAD.schema)
LEDGER = ValueType(_ledger, {"type": "string"})
PARAM_NAME = ValueType(_param_name, {"type": "string"})
