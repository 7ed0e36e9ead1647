"""
Work that the ledger may start in this process: functions that the application's code declares as
`@background`, their links, and jobs that the code defines.

A user who can write to the ledger can write a row with any reference. So the declaration counts, and not the
row.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tminus.executors.python.loading import CannotLoad
from tminus.executors.python.registry import code_jobs
from tminus.executors.python.wire import Work

if TYPE_CHECKING:
    from flask import Flask

_HANDLERS = ("callback", "errback", "both")

#: The links of each background function, by its `module:name`; each as reference and keyword arguments.
_declared: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}


def declare(ref: str, then: Any) -> None:
    """
    Declare a background function.

    Args:
        ref: `module:name`.
        then: Its chain, as in the jobs file.
    """
    _declared.setdefault(ref, []).extend(_links(then))


def check(work: Work, app: "Flask | None", load: Callable[[str], object]) -> None:
    """
    Check that the code declares a work that comes from the ledger.

    Args:
        work: The work. It has `declared_by` if it is a background run or a link of one, and `defined` if it
            belongs to a job in the code.
        app: The application of this process.
        load: Imports the module of a reference.

    Raises:
        CannotLoad: the code does not declare it.
        NotInCode: the code does not have the background function, or cannot be imported.
    """
    if work.declared_by is not None:
        _check_background(work, work.declared_by, load)
    if work.defined is not None:
        found = [one["keys"] for one in code_jobs(app, os.environ["TMINUS_APP"]) if one["name"] == work.job]
        if json.loads(work.defined) not in json.loads(json.dumps(found)):
            raise CannotLoad(
                f"the application's code does not define {work.job} like this: its definition comes from "
                "the ledger only, so it is not started"
            )


def _check_background(work: Work, function: str, load: Callable[[str], object]) -> None:
    # No background function is in the standard library, and the import of some of its modules has effects.
    if (
        function not in _declared
        and function.partition(".")[0].partition(":")[0] not in sys.stdlib_module_names
    ):
        load(function)
    if function not in _declared:
        raise CannotLoad(
            f"{function} is not a @background function: the call comes from the ledger only, so it is not "
            "made"
        )
    if work.ref != function and (work.ref, json.loads(work.arguments)[1]) not in _declared[function]:
        raise CannotLoad(
            f"{work.ref} with these arguments is not a link of {function}: the call comes from the ledger "
            "only, so it is not made"
        )


def _links(then: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    links = then if isinstance(then, list) else [then]
    for link in links:
        handlers = [link.get(name) for name in _HANDLERS] if isinstance(link, Mapping) else [link]
        for handler in handlers:
            if isinstance(handler, str):
                yield handler, {}
            elif isinstance(handler, Mapping) and "call" in handler:
                yield handler["call"], handler.get("kwargs") or {}
