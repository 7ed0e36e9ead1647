"""`then:`, what follows a run: links, and the cycles that they must not form."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tminus.errors import quoted
from tminus.jobsfile.jobs import schema
from tminus.jobsfile.text.faults import Fault, key_fault
from tminus.jobsfile.types.maps import Validated, validate_map
from tminus.model.chain import Function, Handler, Link, StartJob
from tminus.model.job import Job
from tminus.suggestions import suggest

#: The most jobs of a cycle that a message names.
_MOST_SHOWN = 10
_NAMES = ("callback", "errback", "both")


def build_links(job: schema.JobSpec, app: str | None) -> tuple[Link, ...]:
    """
    Return the chain of a job, which must have no faults.

    Args:
        job: The model of the job.
        app: The application for functions that name none.
    """
    return tuple(
        Link(
            callback=_handler(link.callback or link.both, app),
            errback=_handler(link.errback or link.both, app),
        )
        for link in job.then or ()
    )


def submitted_links(written: Any, app: str | None) -> tuple[Link, ...]:
    """Return a chain that an application has submitted; leave out what is wrong in it."""
    return build_links(validate_map(schema.JobSpec, {"then": written}).model, app)


def _handler(handler: schema.HandlerSpec | None, app: str | None) -> Handler | None:
    if handler is None:
        return None
    if handler.run is not None:
        return StartJob(handler.run)
    return Function(ref=handler.call or "", kwargs=handler.kwargs or {}, app=handler.app or app)


def chain_faults(found: Validated[schema.JobSpec], jobs: Collection[str]) -> Iterator[Fault]:
    """
    Yield what is wrong between the keys of a chain.

    Args:
        found: The job.
        jobs: The names of all jobs.
    """
    for index, link in enumerate(found.model.then or ()):
        where = ("then", index)
        present = [name for name in _NAMES if getattr(link, name) is not None]
        if not present and not found.is_faulty(*where):
            yield Fault(message="an empty link", path=where, hint="write callback:, errback: or both:")
        elif "both" in present and len(present) > 1:
            message = "both: stands for callback: and errback:"
            yield key_fault((*where, "both"), message, hint="take both: away, or the others")
        for name in present:
            if not found.is_faulty(*where, name):
                yield from (fault.under(*where, name) for fault in _handler_faults(getattr(link, name), jobs))


def _handler_faults(handler: schema.HandlerSpec, jobs: Collection[str]) -> Iterator[Fault]:
    if (handler.call is None) == (handler.run is None):
        message = "give call or run, not both" if handler.run else "nothing to do"
        yield Fault(message=message, hint="write module:function, or {run: JOB}")
    elif handler.run is not None and (
        extra := "kwargs" if handler.kwargs else "app" if handler.app else None
    ):
        yield key_fault((extra,), f"{extra} is for call", hint="the job itself has its own")
    if handler.run is not None and handler.run not in jobs:
        hint = suggest(handler.run, jobs, otherwise="it names a job of this file")
        yield Fault(message=f"no job {quoted(handler.run)}", path=("run",), hint=hint)


def find_cycles(jobs: Mapping[str, Job]) -> Iterator[tuple[str, Fault]]:
    """Yield a cycle of jobs that start each other for each link that closes one, with the job of the link."""
    starts = {name: _started_by(job) for name, job in jobs.items() if job.then}
    done: set[str] = set()
    for first in starts:
        path: dict[str, None] = {}  # in the order of the chain
        left = [iter([(first, 0)])]
        while left:
            step = next(left[-1], None)
            if step is None:
                left.pop()
                if path:
                    done.add(path.popitem()[0])
                continue
            name, index = step
            if name in path:
                cycle = list(path)[list(path).index(name) :]
                message = f"a cycle: {_shown(cycle)} → {name}; it would never end"
                yield (
                    cycle[-1],
                    Fault(message=message, path=("then", index), hint="take one of its {run: …} away"),
                )
            elif name in starts and name not in done:
                path[name] = None
                left.append(iter(starts[name]))


def _shown(cycle: Sequence[str]) -> str:
    names = [*cycle[:_MOST_SHOWN], "…"] if len(cycle) > _MOST_SHOWN else cycle
    return " → ".join(names)


def _started_by(job: Job) -> list[tuple[str, int]]:
    """Return the jobs that a chain starts, each with the index of its link."""
    return [
        (handler.job, index)
        for index, link in enumerate(job.then)
        for handler in link.handlers
        if isinstance(handler, StartJob)
    ]
