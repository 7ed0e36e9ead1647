"""Functions of chains that return or raise what cannot be passed on as it is."""

import sys
from typing import Any

from tminus.executors.python.payload_objects import Answer, Failure


class Own(Failure):
    """A failure without the attributes of one."""

    def __init__(self, more: str) -> None:
        self.more = more


def nested(value: Any, **more: Any) -> Any:
    for _ in range(900):
        value = [value]
    return value


def huge_number(value: object) -> int:
    sys.set_int_max_str_digits(0)
    return 10**6000


def answer(value: object, **more: Any) -> Answer:
    odd: Any = 5
    return Answer(200, ["A: b"], odd)


def no_text(value: object) -> None:
    odd: Any = {"a": object}
    raise Failure("failed", "odd", odd)


def too_long(value: object) -> None:
    raise Failure("failed", "odd", "m" * (17 << 20))


def own(value: object) -> None:
    raise Own("mine")


def not_raised(value: object) -> Own:
    return Own("mine")


def look(value: object, **more: Any) -> None:
    return None
