"""The standard streams: printing never fails, whatever the streams are when the program starts."""

import io
import os
import sys
from typing import Any


class Stream(io.TextIOWrapper):
    """
    A text stream whose `write` and `flush` do not raise. Characters that its encoding lacks are escaped.

    The rest of the output to a pipe whose reader has gone (`| head`) is dropped silently.
    """

    failure: OSError | None = None  #: why output could not be written, except to such a pipe

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.failure = error
            if self.fileno() == 2:
                return  # the disk of a log may have room again
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def open_standard_streams() -> None:
    """
    Make the three standard streams usable. Call this first, so that no other file gets one of their
    descriptors.

    A closed stream becomes `/dev/null`, also for child processes.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        plain = getattr(sys, name)
        if descriptor == 0:
            sys.stdin = plain or open(0, closefd=False)  # noqa: SIM115 - to the end of the process
        elif plain is None or type(plain) is io.TextIOWrapper:
            encoding = plain.encoding if plain else "utf-8"
            binary = open(descriptor, "wb", closefd=False)  # noqa: SIM115
            setattr(
                sys,
                name,
                Stream(
                    binary, encoding, "backslashreplace", line_buffering=descriptor == 2 or binary.isatty()
                ),
            )


def close_output(status: int) -> int:
    """
    Write what is left to stdout.

    Returns:
        The exit status; 1 instead of 0 if the output could not be written.
    """
    sys.stdout.flush()
    failure: Any = getattr(sys.stdout, "failure", None)
    if failure is None:
        return status
    print(f"error: cannot write the output: {failure.strerror}", file=sys.stderr)
    return status or 1
