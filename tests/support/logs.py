"""The log of what runs in the tests' own process."""

import structlog


def plain_logs() -> None:
    """
    Log with Python's own tracebacks. Those of structlog's default show the locals of each frame, in colour,
    and cost up to a second of processor time each.
    """
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
