"""What follows a run: a chain in the manner of deferreds, down which a value flows, the run's result or its failure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scheduler.outcome import Cause, LinkState, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """
    A Python function that gets what flows.

    Args:
        ref: `module:name`.
        kwargs: Its arguments by name; texts may hold `{{ … }}` and `${…}`.
        app: A name under `apps`; None where it is called outside of any application.
    """

    ref: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    app: str | None = None

    def __str__(self) -> str:
        return self.ref


@dataclass(frozen=True, slots=True)
class Start:
    """Starts a job, and hands on what it got."""

    job: str

    def __str__(self) -> str:
        return f"run {self.job}"


Handler = Function | Start

#: Of what flows, as JSON: for the JSON of a longer value all threads of the daemon would wait.
MOST_BYTES = 1 << 20
_RESULT = '{"result": '


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of a chain: who takes a result, and who a failure."""

    callback: Handler | None = None
    errback: Handler | None = None

    def __str__(self) -> str:
        if self.callback == self.errback:
            return f"both {self.callback}"
        names = (("callback", self.callback), ("errback", self.errback))
        return ", ".join(f"{name} {handler}" for name, handler in names if handler)

    def taken_by(self, *, failure: bool) -> Handler | None:
        """Who gets what flows; None where it is passed over."""
        return self.errback if failure else self.callback

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Those that there are."""
        errback = self.errback if self.errback != self.callback else None
        return tuple(handler for handler in (self.callback, errback) if handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What a function returned.

    Args:
        text: As JSON. It may be long, and deeper than a parser bears: here nobody reads it.
    """

    text: str

    def as_text(self) -> str:
        """As it is stored, and sent to a function."""
        return f"{_RESULT}{self.text}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a server or a view answered.

    Args:
        headers: A line each.
    """

    status: int
    headers: tuple[str, ...]
    text: str

    def as_text(self) -> str:
        """As it is stored, and sent to a function."""
        # Not in ASCII: a long answer that is no text would be three times as long. Lone surrogates become JSON's escapes.
        return json.dumps({"answer": asdict(self)}, ensure_ascii=False).encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why a run, or a link, did not give a result.

    Args:
        outcome: The run's; `failed` where a link raised.
        kind: Its cause, in a word.
        message: For people.
        traceback: The user's own frames, where something was raised.
    """

    outcome: str
    kind: str
    message: str
    traceback: str | None = None

    def as_text(self) -> str:
        """As it is stored, and sent to a function."""
        return json.dumps({"failure": asdict(self)})


#: What flows down a chain.
Value = Result | Answer | Failure


def short_enough(value: Result | Answer, what: str) -> Value:
    """
    Return the value, or if it is too long the failure that flows instead.

    Args:
        value: Of at most some MiB.
        what: For people, such as `what it returned`.
    """
    text = value.as_text()
    return value if len(text) <= MOST_BYTES and len(text.encode()) <= MOST_BYTES else too_long(what)


def too_long(what: str) -> Failure:
    """Return the failure that flows instead of a value that is too long; `what` as in `short_enough`."""
    message = f"{what} cannot be handed on: it is longer than {MOST_BYTES >> 20} MiB as JSON"
    return Failure(outcome=Outcome.FAILED, kind=Cause.TOO_LARGE, message=message)


def value_of(text: str) -> Value:
    """The value that this text is of: `as_text`, or what a runner says that a function gave."""
    if text.startswith(_RESULT):
        return Result(text=text[len(_RESULT) : -1])
    ((kind, fields),) = json.loads(text).items()
    return Failure(**fields) if kind == "failure" else Answer(**fields | {"headers": tuple(fields["headers"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRun:
    """How a link went, or stands."""

    link: str
    state: LinkState
    error: str | None = None
    started_at_ns: int | None = None
    finished_at_ns: int | None = None
    output: bytes = b""

    def as_json(self) -> dict[str, Any]:
        """The shape that the contract fixes."""
        return {"link": self.link, "state": self.state.value, "error": self.error}
