"""
What the ledger may start in this process: functions that the application's code declares as `@background`, and their links.

Anybody who can write to the ledger can write a row with any reference. So the declaration counts, and not the row.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scheduler.executors.python.loading import CannotLoad
from scheduler.executors.python.wire import Work

_HANDLERS = ("callback", "errback", "both")

#: By `module:name` of each background function: its links, each as reference and keyword arguments.
_declared: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}


def declare(ref: str, then: Any) -> None:
    """
    Declare a background function.

    Args:
        ref: `module:name`.
        then: Its chain, in the words of the jobs file.
    """
    _declared.setdefault(ref, []).extend(_links(then))


def check(work: Work, load: Callable[[str], object]) -> None:
    """
    Check that the code declares what a row of the ledger wants to start.

    Args:
        work: With `declared_by`.
        load: Imports the module of a reference.

    Raises:
        CannotLoad: the code does not declare it, or cannot be imported.
    """
    function = work.declared_by or ""
    # Nobody declares a background function in the standard library, and to import one of its modules may do something.
    if function not in _declared and function.partition(".")[0].partition(":")[0] not in sys.stdlib_module_names:
        load(function)
    if function not in _declared:
        raise CannotLoad(f"{function} is not a @background function: the ledger cannot start it")
    if work.ref != function and (work.ref, json.loads(work.arguments)[1]) not in _declared[function]:
        raise CannotLoad(f"{work.ref} with these arguments is not a link of {function}: the ledger cannot start it")


def _links(then: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for link in then if isinstance(then, list) else [then]:
        for handler in [link.get(name) for name in _HANDLERS] if isinstance(link, Mapping) else [link]:
            if isinstance(handler, str):
                yield handler, {}
            elif isinstance(handler, Mapping) and "call" in handler:
                yield handler["call"], handler.get("kwargs") or {}
