"""The processes of executors: how one has ended, in words, and what is left of it."""

import contextlib
import signal
import subprocess


def how(status: int) -> str:
    """By its exit status."""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def close_pipes(process: "subprocess.Popen[bytes]") -> None:
    """Give its pipes back."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what is still in its buffer has nowhere to go
                pipe.close()
