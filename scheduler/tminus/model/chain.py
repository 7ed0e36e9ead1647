"""
Chains: what follows a run, as with Twisted's deferreds. A value flows from link to link: a result or a
failure.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tminus.outcome import Cause, LinkState, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """
    A Python function whose argument is the value that flows.

    Args:
        ref: `module:name`.
        kwargs: Its arguments by name; texts may hold `{{ … }}` and `${…}`.
        app: A name under `apps`; None if it is called outside any application.
    """

    ref: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    app: str | None = None

    def __str__(self) -> str:
        return self.ref


@dataclass(frozen=True, slots=True)
class StartJob:
    """Starts a job. The value flows on to the next link unchanged."""

    job: str

    def __str__(self) -> str:
        return f"run {self.job}"


Handler = Function | StartJob

#: Limit for a value that flows, as JSON: while a longer one is encoded, all threads of the daemon would wait.
MOST_BYTES = 1 << 20
_RESULT = '{"result": '


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of a chain: a handler for a result, and one for a failure."""

    callback: Handler | None = None
    errback: Handler | None = None

    def __str__(self) -> str:
        if self.callback == self.errback:
            return f"both {self.callback}"
        names = (("callback", self.callback), ("errback", self.errback))
        return ", ".join(f"{name} {handler}" for name, handler in names if handler)

    def handler_for(self, *, failure: bool) -> Handler | None:
        """Return the handler for this kind of value; None if the link is passed over."""
        return self.errback if failure else self.callback

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The handlers of this link, each once."""
        errback = self.errback if self.errback != self.callback else None
        return tuple(handler for handler in (self.callback, errback) if handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnValue:
    """
    The result of a function.

    Args:
        text: The result as JSON. It is never parsed here, because it may be nested too deeply for a parser.
    """

    text: str

    def as_text(self) -> str:
        """Return the text that is stored, and sent to a function."""
        return f"{_RESULT}{self.text}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResponse:
    """
    The response of a server or a view.

    Args:
        headers: One line each.
    """

    status: int
    headers: tuple[str, ...]
    text: str

    def as_text(self) -> str:
        """Return the text that is stored, and sent to a function."""
        # Not in ASCII: a long response that is not text would be three times as long. Lone surrogates become
        # JSON's escapes.
        return (
            json.dumps({"answer": asdict(self)}, ensure_ascii=False)
            .encode(errors="backslashreplace")
            .decode()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    The reason why a run, or a link, has no result.

    Args:
        outcome: The outcome of the run; `failed` if a link raised.
        kind: The cause, in a word.
        message: The reason, for people.
        traceback: The user's own frames, if something was raised.
    """

    outcome: str
    kind: str
    message: str
    traceback: str | None = None

    def as_text(self) -> str:
        """Return the text that is stored, and sent to a function."""
        return json.dumps({"failure": asdict(self)})


#: The value that flows from link to link.
Value = ReturnValue | TargetResponse | Failure


def short_enough(value: ReturnValue | TargetResponse, what: str) -> Value:
    """
    Return the value; if it is too long, return the failure that replaces it.

    Args:
        value: A result; or a response of a few MiB at most, because it is encoded here.
        what: For people, such as `its result`.
    """
    text = value.as_text()
    return value if len(text) <= MOST_BYTES and len(text.encode()) <= MOST_BYTES else too_long(what)


def too_long(what: str) -> Failure:
    """Return the failure that replaces a value that is too long; `what` as in `short_enough`."""
    message = f"{what} cannot be handed on: it is longer than {MOST_BYTES >> 20} MiB as JSON"
    return Failure(outcome=Outcome.FAILED, kind=Cause.TOO_LARGE, message=message)


def value_of(text: str) -> Value:
    """Parse the text of a value, which `as_text` or a runner has written."""
    if text.startswith(_RESULT):
        return ReturnValue(text=text[len(_RESULT) : -1])
    ((kind, fields),) = json.loads(text).items()
    return (
        Failure(**fields)
        if kind == "failure"
        else TargetResponse(**fields | {"headers": tuple(fields["headers"])})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """The status of a link."""

    link: str
    state: LinkState
    error: str | None = None
    started_at_ns: int | None = None
    finished_at_ns: int | None = None
    output: bytes = b""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of a link, as in `chain` of an occurrence."""
        return {"link": self.link, "state": self.state.value, "error": self.error}
