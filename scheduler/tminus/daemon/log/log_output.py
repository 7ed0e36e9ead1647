"""The daemon's log: a constant text plus fields, to stderr; for a terminal, for the journal, or as JSON."""

import atexit
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict

from tminus.daemon.log import executor_stderr
from tminus.daemon.log.log_writer import LogWriter
from tminus.instants import SECOND

#: systemd reads a level from the head of each line: sd-daemon(3).
_JOURNAL = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}

#: Tracebacks without local variables, because these may contain secrets.
_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)

#: Control characters in a field: a line break would begin a new line, and an escape sequence would change the
#: terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LAST_LINES_S = 1.0
#: `status` shows this long that lines were dropped.
_DAY_NS = 86_400 * SECOND

_writer: LogWriter | None = None


def set_up(*, verbose: bool = False, quiet: bool = False, color: bool = True) -> None:
    """Set up the log, once per process, before anything is logged. `TMINUS_LOG=json` selects JSON."""
    global _writer
    as_json, to_journal = os.environ.get("TMINUS_LOG") == "json", "JOURNAL_STREAM" in os.environ
    if as_json:
        render = _json_line
    elif to_journal:
        render = _journal_line
    else:
        render = _Console(colors=color and sys.stderr is not None and sys.stderr.isatty())
    stamp = [] if to_journal and not as_json else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    _writer = LogWriter(render, _descriptor())
    structlog.configure(
        processors=[structlog.processors.add_log_level, *stamp, _enqueue],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Records()], level=logging.WARNING)
    logging.getLogger("tminus").setLevel(level)
    atexit.register(flush)


def flush() -> None:
    """Wait a moment for the last lines."""
    if _writer is not None:
        _writer.flush(_LAST_LINES_S)


def problems() -> list[str]:
    """Return what is wrong with the log, for `status`."""
    if _writer is not None and _writer.has_dropped(_DAY_NS):
        return ["log lines were dropped in the last 24 h: the log was not read"]
    return []


@contextmanager
def stderr_of_executor(name: str) -> Iterator[int | None]:
    """
    Yield the descriptor for the stderr of an executor that is started inside; None if it is to share the
    stderr of this process.
    """
    if _writer is None:
        yield None
    else:
        with executor_stderr.logged(name, _writer.put) as descriptor:
            yield descriptor


def _descriptor() -> int | None:
    try:
        return sys.stderr.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None


def _enqueue(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Pass an event to the writer's thread, which renders it: a traceback takes long."""
    match event.pop("exc_info", None):
        case BaseException() as error:
            event["exc_info"] = (type(error), error, error.__traceback__)
        case None | False:
            pass
        case _:
            event["exc_info"] = sys.exc_info()
    if _writer is not None:
        _writer.put(event)
    raise structlog.DropEvent


class _Records(logging.Handler):
    """Takes the log records of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        if _writer is not None:
            event: dict[str, Any] = {
                "level": record.levelname.lower(),
                "event": record.getMessage(),
                "logger": record.name,
            }
            _writer.put(event | ({"exc_info": record.exc_info} if record.exc_info else {}))


def escaped(value: object) -> object:
    """
    Return a value for a line of the log: in a string, control characters are replaced by escape sequences.
    """
    return _CONTROL.sub(lambda sign: repr(sign[0])[1:-1], value) if isinstance(value, str) else value


def _json_line(event: EventDict) -> str:
    event = structlog.processors.ExceptionRenderer(_TRACEBACK)(None, "", event)
    text = structlog.processors.JSONRenderer(ensure_ascii=False)(None, "", event)
    return _CONTROL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", str(text))


def _journal_line(event: EventDict) -> str:
    level, trace = event.pop("level", "info"), _trace(event)
    fields = " ".join(
        f"{name}={escaped(str(value))}" for name, value in event.items() if name not in ("event", "output")
    )
    lines = [f"{escaped(event.get('event', event.get('output', '')))} {fields}".rstrip(), *trace]
    return "\n".join(_JOURNAL.get(level, "") + line for line in lines)


class _Console:
    """A renderer of events for a terminal, or a file."""

    def __init__(self, *, colors: bool) -> None:
        self._renderer = structlog.dev.ConsoleRenderer(colors=colors)

    def __call__(self, event: EventDict) -> str:
        if "output" in event:
            return str(escaped(event["output"]))
        trace = _trace(event)
        fields = {
            name: escaped(value) if isinstance(value, str) else escaped(repr(value))
            for name, value in event.items()
        }
        return "\n".join([self._renderer(None, "", fields), *trace])


def _trace(event: EventDict) -> list[str]:
    """
    Return the lines of the traceback. The sign before each distinguishes it from a line of the log, whatever
    the message contains.
    """
    found: tuple[type, BaseException, TracebackType | None] | None = event.pop("exc_info", None)
    if found is None or found[1] is None:
        return []
    text = structlog.processors.format_exc_info(None, "", {"exc_info": found})["exception"]
    return [f"  | {escaped(line)}" for line in str(text).split("\n")]
