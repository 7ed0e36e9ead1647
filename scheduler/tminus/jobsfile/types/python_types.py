"""Names in Python: functions and applications."""

import re
from typing import Any

from tminus.errors import quoted
from tminus.jobsfile.text.faults import Fault, InvalidValue, wrong_type
from tminus.jobsfile.types.values import NAME, ValueType

_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_REF = re.compile(rf"{_DOTTED}:[A-Za-z_]\w*")
_APPLICATION = re.compile(rf"{_DOTTED}:[A-Za-z_]\w*(\(\))?")
_APP_NAME = re.compile(NAME)
_REF_HINT = "module:function, such as backoffice.tasks:export"
_APPLICATION_HINT = "module:app, or module:create_app()"


def _ref(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a text", value, hint=_REF_HINT)
    if not _REF.fullmatch(value):
        raise InvalidValue(Fault(message=f"{quoted(value)} is not a module:function", hint=_REF_HINT))
    return value


def _application(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a text", value, hint=_APPLICATION_HINT)
    if not _APPLICATION.fullmatch(value):
        raise _not_an_application(value, hint=_APPLICATION_HINT)
    return value


def _app_or_name(value: Any) -> str:
    if isinstance(value, str) and (_APP_NAME.fullmatch(value) or _APPLICATION.fullmatch(value)):
        return value
    raise _not_an_application(value, hint=f"a name under apps:, or {_APPLICATION_HINT}")


def _not_an_application(value: Any, *, hint: str) -> InvalidValue:
    return InvalidValue(Fault(message=f"{quoted(value)} is not an application", hint=hint))


REF = ValueType(_ref, {"type": "string", "pattern": f"^{_REF.pattern}$"})
APPLICATION = ValueType(_application, {"type": "string", "pattern": f"^{_APPLICATION.pattern}$"})
APP_OR_NAME = ValueType(_app_or_name, {"type": "string"})
