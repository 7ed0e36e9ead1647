"""`then:`, what follows a run: links, and the rings that they must not close."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from scheduler.errors import nearest, quoted
from scheduler.jobsfile import language
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.validation import Validated, validated
from scheduler.model.chain import Function, Handler, Link, Start
from scheduler.model.job import Job

#: Jobs of a ring that a message names.
_MOST_SHOWN = 10
_NAMES = ("callback", "errback", "both")


def links_of(job: language.Job, app: str | None) -> tuple[Link, ...]:
    """
    The chain of a job without faults.

    Args:
        app: In which a function runs that names none.
    """
    return tuple(
        Link(callback=_handler(link.callback or link.both, app), errback=_handler(link.errback or link.both, app))
        for link in job.then or ()
    )


def links_said(said: Any, app: str | None) -> tuple[Link, ...]:
    """A chain that was never in a file; what is wrong in it is left out."""
    return links_of(validated(language.Job, {"then": said}).model, app)


def _handler(handler: language.Handler | None, app: str | None) -> Handler | None:
    if handler is None:
        return None
    if handler.run is not None:
        return Start(handler.run)
    return Function(ref=handler.call or "", kwargs=handler.kwargs or {}, app=handler.app or app)


def chain_faults(found: Validated[language.Job], jobs: Collection[str]) -> Iterator[Fault]:
    """
    What is wrong between the keys of a chain.

    Args:
        jobs: All there are.
    """
    for index, link in enumerate(found.model.then or ()):
        where = ("then", index)
        given = [name for name in _NAMES if getattr(link, name) is not None]
        if not given and not found.is_faulty(*where):
            yield Fault(words="an empty link", path=where, hint="write callback:, errback: or both:")
        elif "both" in given and len(given) > 1:
            words, hint = f"both is callback and errback: give both or {given[0]}", "keep one of them"
            yield Fault(words=words, path=(*where, "both"), on_key=True, of_owner=True, hint=hint)
        for name in given:
            if not found.is_faulty(*where, name):
                yield from (fault.under(*where, name) for fault in _handler_faults(getattr(link, name), jobs))


def _handler_faults(handler: language.Handler, jobs: Collection[str]) -> Iterator[Fault]:
    if (handler.call is None) == (handler.run is None):
        words = "give call or run, not both" if handler.run else "nothing to do"
        yield Fault(words=words, hint="write module:function, or {run: JOB}")
    elif handler.run is not None and (extra := "kwargs" if handler.kwargs else "app" if handler.app else None):
        yield Fault(words=f"{extra} is for call", path=(extra,), on_key=True, of_owner=True, hint="the job itself has its own")
    if handler.run is not None and handler.run not in jobs:
        near = nearest(handler.run, jobs)
        hint = f"did you mean {near}?" if near else "it names a job of this file"
        yield Fault(words=f"no job {quoted(handler.run)}", path=("run",), hint=hint)


def rings(jobs: Mapping[str, Job]) -> Iterator[tuple[str, Fault]]:
    """Jobs that, link by link, start themselves again: each ring once, with the job that it is told of."""
    starts = {name: _started_by(job) for name, job in jobs.items() if job.then}
    done: set[str] = set()
    for first in starts:
        path: dict[str, None] = {}  # in the order of the chain
        left = [iter([(first, 0)])]
        while left:
            name, index = next(left[-1], ("", -1))
            if index < 0:
                left.pop()
                if path:
                    done.add(path.popitem()[0])
            elif name in path:
                ring = list(path)[list(path).index(name) :]
                words = f"a ring: {_shown(ring)} → {name}; it would never end"
                yield ring[-1], Fault(words=words, path=("then", index), hint="take one of its {run: …} away")
            elif name in starts and name not in done:
                path[name] = None
                left.append(iter(starts[name]))


def _shown(ring: Sequence[str]) -> str:
    names = [*ring[:_MOST_SHOWN], "…"] if len(ring) > _MOST_SHOWN else ring
    return " → ".join(names)


def _started_by(job: Job) -> list[tuple[str, int]]:
    """Which jobs a chain starts, and with which of its links."""
    return [
        (handler.job, index) for index, link in enumerate(job.then) for handler in link.handlers if isinstance(handler, Start)
    ]
