"""
The fault injector: raises in one step, for one job.

A step is a function of tminus that is called with one job: with its due occurrence, its request, its report,
its outcome, or its index. Nobody lists the steps by hand: `recording` finds them while a healthy batch runs,
and a test compares them with its table. So a new step is in the table, with what its failure must cost, or
that test fails.

To add a step, write it; then add a row to the table that the failing test names:

    tests/faults/test_one_job_breaks.py    steps of the daemon

In a process of its own (an executor), start the module through this one:

    python -m tests.support.faults record=FILE MODULE ARGUMENT…       append each step to FILE as it is found, one per line
    python -m tests.support.faults MODULE:QUALNAME@INDEX MODULE ARGUMENT…    raise in that step for the job with this index

Standard library only: runners import it.
"""

import functools
import importlib
import inspect
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

#: Classes whose values belong to one job. By name: a runner has not all of them.
ONE_JOB = frozenset(
    {
        "DueOccurrence",
        "OccurrenceResult",
        "UnstartedResult",
        "AttemptResult",
        "Request",
        "Work",
        "Attempt",
        "Job",
        "Transfer",
        "ChildProcess",
        "CallRequest",
        "Item",
        "_OutstandingCall",
        "CallResult",
        "LinkResult",
        "ActiveChain",
        "OpenChain",
        "LinkUpdate",
    }
)
#: Classes whose methods all belong to one job.
_WHOLE = frozenset({"Transfer"})
_PACKAGE = str(Path(__file__).resolve().parents[2] / "scheduler" / "tminus") + "/"


class InjectedFault(Exception):
    """An error that no code expects."""


@contextmanager
def recording(folder: str, found: Callable[[str], object]) -> Iterator[None]:
    """
    Report each step that is called within the block, once, as `module:qualname`; on this thread and on those
    that start within the block.

    Args:
        folder: A folder of the package, such as `daemon`; steps elsewhere are not reported.
    """
    prefix, known = _PACKAGE + folder, set[Any]()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if (
            event == "call"
            and code not in known
            and code.co_filename.startswith(prefix)
            and _has_one_job(frame)
        ):
            known.add(code)
            if "<" not in code.co_qualname and not code.co_name.startswith("__"):
                found(f"{frame.f_globals['__name__']}:{code.co_qualname}")

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@contextmanager
def fault_in(
    step: str, is_victim: Callable[[Sequence[Any]], bool], *, times: int = sys.maxsize
) -> Iterator[list[str]]:
    """
    Raise `InjectedFault` when a step is called for the victim.

    Args:
        step: As `recording` reports it.
        is_victim: Returns whether the call with these arguments is to fail.
        times: The largest number of faults.

    Yields:
        A list that gets the step's name with each fault.
    """
    owner, name, function = _find(step)
    plain = getattr(
        function, "fget", getattr(function, "__func__", function)
    )  # of a property, of a static method
    raised: list[str] = []

    @functools.wraps(plain)
    def faulty(*arguments: Any, **named: Any) -> Any:
        if len(raised) < times and is_victim([*arguments, *named.values()]):
            raised.append(step)
            raise InjectedFault(step)
        return plain(*arguments, **named)

    # `from module import function` has copied the reference.
    copies = [(owner, name), *((module, name) for module in _modules() if vars(module).get(name) is function)]
    for holder, attribute in copies:
        setattr(holder, attribute, type(function)(faulty) if plain is not function else faulty)
    try:
        yield raised
    finally:
        for holder, attribute in copies:
            setattr(holder, attribute, function)


def _has_one_job(frame: FrameType) -> bool:
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return any(
        name == "index" or type(values.get(name)).__name__ in (_WHOLE if name == "self" else ONE_JOB)
        for name in names
    )


def _find(step: str) -> tuple[Any, str, Any]:
    module, _, path = step.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    return owner, name, inspect.getattr_static(owner, name)


def _modules() -> list[Any]:
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("tminus.") and module is not None
    ]


def _main() -> None:
    what, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    with _recording_to(what.removeprefix("record=")) if what.startswith("record=") else _fault_by_index(what):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


@contextmanager
def _recording_to(path: str) -> Iterator[None]:
    with (
        Path(path).open("a", buffering=1) as file,
        recording("executors", lambda step: file.write(f"{step}\n")),
    ):
        yield


@contextmanager
def _fault_by_index(what: str) -> Iterator[None]:
    step, _, text = what.rpartition("@")
    index = int(text)

    def is_victim(arguments: Sequence[Any]) -> bool:
        return any(
            (value if type(value) is int else getattr(value, "index", None)) == index for value in arguments
        )

    with fault_in(step, is_victim):
        yield


if __name__ == "__main__":
    _main()
