"""The daemon's log: a constant text plus fields, to stderr; for a terminal, for the journal, or as JSON."""

import contextlib
import logging
import os
import sys

import structlog

#: systemd reads a level from the head of each line: sd-daemon(3).
_JOURNAL = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}

#: Without local variables: secrets are among them.
_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def set_up(*, verbose: bool = False, quiet: bool = False, color: bool = True) -> None:
    """Once a process, before anything is logged. `TMINUS_LOG=json` asks for JSON."""
    as_json, to_journal = os.environ.get("TMINUS_LOG") == "json", "JOURNAL_STREAM" in os.environ
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    elif to_journal:
        renderer = _journal_line
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=color and sys.stderr.isatty())
    stamp = [] if to_journal and not as_json else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *stamp,
            structlog.processors.ExceptionRenderer(_TRACEBACK) if as_json else structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # it needs no more of a file
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("scheduler").setLevel(level)


class _Stderr:
    """A full disk or a reader that has gone costs log lines, never an outcome: to write here does not fail."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _journal_line(_logger: object, _name: str, event: structlog.typing.EventDict) -> str:
    level, text, trace = event.pop("level", "info"), event.pop("event", ""), event.pop("exception", "")
    fields = " ".join(f"{name}={value}" for name, value in event.items())
    lines = [f"{text} {fields}".rstrip(), *str(trace).splitlines()]
    return "\n".join(_JOURNAL.get(level, "") + line for line in lines)
