"""`@background`: functions that a view submits and does not wait for."""

import inspect
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from tminus.clock import SystemClock
from tminus.executors.python import declared
from tminus.flask import client
from tminus.flask.client import RunHandle
from tminus.flask.job_options import (
    RetryOptions,
    normalize_chain,
    normalize_retry,
    parse_duration_ns,
    parse_instant_ns,
    ref_of,
)
from tminus.flask.on_commit import on_commit
from tminus.model import payload
from tminus.model.background import LONGEST_RUN_NS, Submission, is_run_id

P = ParamSpec("P")
R = TypeVar("R")

_SUBMIT_OPTIONS = ("delay", "at", "id")
#: Limit for the calls of one `map` together, in characters of JSON.
_MOST_IN_MAP = 64 << 20


class BackgroundFunction(Generic[P, R]):
    """
    A function decorated with `@background`. A call runs it here and now, as before. Thread-safe.

    Raises:
        TypeError: another process could not find the function by its name, or it has a parameter `delay`,
            `at` or `id`.
    """

    def __init__(
        self, function: Callable[P, R], options: Mapping[str, Any], *, copies_request: bool = True
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self._copies_request = copies_request
        self._signature = inspect.signature(function)
        name, ref = function.__qualname__, ref_of(function)
        if ref is None:
            raise TypeError(f"@background: {name} must be defined at the top level of a module")
        if reserved := [option for option in _SUBMIT_OPTIONS if option in self._signature.parameters]:
            raise TypeError(
                f"@background: {name} has a parameter {reserved[0]!r}, which is an option of submit"
            )
        self.ref = ref
        declared.declare(ref, options.get("then", []))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._function(*args, **kwargs)

    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle: ...
    @overload
    def submit(self, *args: Any, delay: str | float, id: str | None = None, **kwargs: Any) -> RunHandle: ...
    @overload
    def submit(self, *args: Any, at: str | datetime, id: str | None = None, **kwargs: Any) -> RunHandle: ...
    @overload
    def submit(self, *args: Any, id: str, **kwargs: Any) -> RunHandle: ...
    def submit(self, *args: Any, **kwargs: Any) -> RunHandle:
        """
        Submit a call, with a copy of the current request if there is one and the function takes one. The call
        is durable when this returns.

        Args:
            args, kwargs: The arguments of the function. They must be JSON.
            delay: Start at the earliest this long from now: `15s`, or seconds.
            at: Start at the earliest at this time: RFC 3339, or a datetime with a zone.
            id: The id of the run, up to 100 letters, digits and `._-`; by default 128 random bits. If the
                function has a run with this id, nothing is submitted.

        Returns:
            The handle of the run, or of the earlier one with its id.

        Raises:
            TypeError: both `delay` and `at` are given. The function does not take these arguments, or they
                are not JSON of at most 100 levels. Or the request has uploaded files that are not saved.
            ValueError: `delay`, `at` or `id` is not valid; the arguments are longer than 1 MiB as JSON, or
                the copy of the request longer than its limit.
            TminusError: the call could not be stored, its application cannot be determined, or its id belongs
                to a run of another function. Then it does not run, except if PostgreSQL was lost during the
                commit: then the run may exist.
        """
        (handle,) = client.submit([self._submission(args, kwargs)])
        return handle

    def submit_on_commit(self, session: Any, /, *args: Any, **kwargs: Any) -> str:
        """
        Submit a call once the current transaction of a SQLAlchemy session is committed. If it, or a savepoint
        around this call, is rolled back, nothing is submitted.

        A process that is killed just after the commit has not submitted the call. If the call cannot be
        stored, `session.commit()` raises the error, and the transaction is committed all the same.

        Args:
            session: A `Session`, `scoped_session` or `AsyncSession`, such as Flask-SQLAlchemy's `db.session`.
            args, kwargs: As for `submit`. A `delay` begins now, not at the commit.

        Returns:
            The id that the run will have.

        Raises:
            TypeError, ValueError, TminusError: as `submit`, for errors that are found before the commit;
                `session.commit()` raises the others.
        """
        submission = self._submission(args, kwargs)
        submission = replace(submission, id=submission.id or secrets.token_hex(16))
        store = client.store()
        on_commit(session, lambda: store.submit([submission]))
        return str(submission.id)

    def map(self, *iterables: Iterable[Any]) -> list[RunHandle]:
        """
        Submit a call for each item, as the built-in `map` would make it, all in one transaction. All are
        durable when this returns. Each has a copy of the current request, if the function takes one.

        Args:
            iterables: The values of the first argument of the function, of the second one, and so on.

        Returns:
            The handles, in the order of the items.

        Raises:
            TypeError: as `submit`.
            ValueError: as `submit`; or all calls together, with their copies of the request, are longer than
                64 MiB as JSON.
            TminusError: as `submit`. Then none of the calls is stored.
        """
        calls = [self._to_json(args, {}) for args in zip(*iterables, strict=False)]
        if not calls:
            return []
        first = self._submission((), {}, arguments=calls[0])
        copy = {"request": first.given["request"]} if "request" in first.given else {}
        length = sum(len(json.dumps(call)) for call in calls) + len(calls) * len(json.dumps(copy))
        if length > _MOST_IN_MAP:
            hint = ", most of it copies of the request: write @background(request=False)" if copy else ""
            raise ValueError(f"{self.ref}: these calls are longer than 64 MiB as JSON ({length}){hint}")
        return client.submit([replace(first, given=call | copy) for call in calls])

    def _submission(
        self, args: Sequence[Any], kwargs: dict[str, Any], *, arguments: Mapping[str, Any] | None = None
    ) -> Submission:
        """Return a submission of a call; `kwargs` has the options of `submit`, too."""
        options = {name: kwargs.pop(name, None) for name in _SUBMIT_OPTIONS}
        run_id = options["id"]
        if run_id is not None and not (isinstance(run_id, str) and is_run_id(run_id)):
            raise ValueError(f"id must be up to 100 letters, digits and ._-; got {run_id!r}")
        planned_at_ns = _planned_at_ns(options["delay"], options["at"])
        given = self._to_json(args, kwargs) if arguments is None else arguments
        return client.prepare(
            lambda app, request: Submission(
                app=app,
                ref=self.ref,
                options=self._options,
                given=given if request is None else {**given, "request": request},
                planned_at_ns=planned_at_ns,
                id=run_id,
            ),
            copies_request=self._copies_request,
        )

    def _to_json(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.ref}: {error}") from None
        try:
            text = payload.dumps({"args": list(args), "kwargs": kwargs}, most_bytes=payload.MOST_BYTES)
        except TypeError as error:
            raise TypeError(f"{self.ref}: the arguments are not JSON: {error}") from None
        except ValueError as error:
            raise ValueError(
                f"{self.ref}: the arguments are {error}: store them, and pass where they are stored"
            ) from None
        found: dict[str, Any] = json.loads(text)
        return found


@overload
def background(function: Callable[P, R], /) -> BackgroundFunction[P, R]: ...
@overload
def background(
    *,
    timeout: str | float | None = None,
    retry: int | RetryOptions | None = None,
    then: Sequence[Any] | Mapping[str, Any] | Callable[..., Any] = (),
    request: bool = True,
) -> Callable[[Callable[P, R]], BackgroundFunction[P, R]]: ...
def background(
    function: Callable[..., Any] | None = None,
    /,
    *,
    timeout: str | float | None = None,
    retry: int | RetryOptions | None = None,
    then: Sequence[Any] | Mapping[str, Any] | Callable[..., Any] = (),
    request: bool = True,
) -> Any:
    """
    Decorate a function so that it can be submitted: `@background`, or `@background(timeout="5m", then=[…])`.

    The function runs in the runner of its application. If the process dies during a run, the result of the
    run is unknown, and the function is called again. It is called at most ten times in all, and not after
    three deaths of its process. Deaths of processes that it shared with other runs count only after it has
    ended one alone, and then all of them. The function must return JSON.

    Args:
        timeout: After this time the run is asked to stop, and ends as `timed_out` even if its function still
            runs: `5m`, or seconds. None sets no limit.
        retry: Retries a run that raised an exception or timed out. Either the largest number of attempts, or
            the keys of `retry` in the jobs file. `retry_on` may contain exception classes instead of their
            names; subclasses are included. None: the run is not tried again.
        then: The chain that follows a run, as `then:` in the jobs file. It may contain functions themselves
            instead of their names.
        request: Whether the function gets a copy of the request in which `submit` is called. Without a
            copy, its request is `GET /`.

    Raises:
        TypeError: another process could not find the function, or one of the chain, by its name; or `retry`
            has an unknown key.
        ValueError: `timeout` is not a duration, or is 0 or longer than 73 years.
    """
    options: dict[str, Any] = {}
    if timeout is not None:
        options["timeout_ns"] = timeout_ns = parse_duration_ns("timeout", timeout)
        if not 0 < timeout_ns <= LONGEST_RUN_NS:
            raise ValueError(f"timeout must be more than 0s and at most 73 years; got {timeout!r}")
    if retry is not None:
        options["retry"] = normalize_retry(retry)
    if then:
        options["then"] = normalize_chain(then)

    def decorate(function: Callable[P, R]) -> BackgroundFunction[P, R]:
        return BackgroundFunction(function, options, copies_request=request)

    return decorate if function is None else decorate(function)


def _planned_at_ns(delay: str | float | None, at: str | datetime | None) -> int | None:
    if delay is not None and at is not None:
        raise TypeError("give delay or at, not both")
    if delay is not None:
        return SystemClock.wall_ns() + parse_duration_ns("delay", delay)
    return parse_instant_ns("at", at) if at is not None else None
