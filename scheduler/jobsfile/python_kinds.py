"""Names of Python's: functions and applications."""

import re
from typing import Any

from scheduler.errors import quoted
from scheduler.jobsfile.faults import Fault, Wrong, wrong_type
from scheduler.jobsfile.values import NAME, NAME_HINT, Kind, text

_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_REF = re.compile(rf"{_DOTTED}:[A-Za-z_]\w*")
_APP = re.compile(rf"{_DOTTED}:[A-Za-z_]\w*(\(\))?")
_APP_NAME = re.compile(NAME)
_REF_HINT = "module:function, such as backoffice.tasks:export"
_APP_HINT = "a name under apps:, or module:app, or module:create_app()"


def _ref(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a text", value, hint=_REF_HINT)
    if not _REF.fullmatch(value):
        raise Wrong(Fault(words=f"{quoted(value)} is not a module:function", hint=_REF_HINT))
    return value


def _application(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a text", value, hint=_APP_HINT)
    if not _APP.fullmatch(value):
        raise Wrong(Fault(words=f"{quoted(value)} is not an application", hint="module:app, or module:create_app()"))
    return value


def _app(value: Any) -> str:
    if isinstance(value, str) and _APP_NAME.fullmatch(value):
        return value
    try:
        return _application(value)
    except Wrong:
        raise Wrong(Fault(words=f"{quoted(value)} is not an application", hint=_APP_HINT)) from None


REF = Kind(_ref, {"type": "string", "pattern": f"^{_REF.pattern}$"})
APPLICATION = Kind(_application, {"type": "string", "pattern": f"^{_APP.pattern}$"})
APP = Kind(_app, {"type": "string"})
APP_NAME = text(NAME, f"match {NAME}", hint=NAME_HINT)
