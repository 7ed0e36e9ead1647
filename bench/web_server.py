"""gunicorn, as in production: several workers behind one socket; and a client of it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

WORKERS = 4
_THREADS = 4


@contextlib.contextmanager
def gunicorn(
    app: str, door: socket.socket, *, folder: Path, log: Path, ledger: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """
    Yield a server that is starting. It accepts connections on a socket that listens already.

    Args:
        folder: The folder of the application.
        ledger: The URL of the ledger to which the application submits.
    """
    options = ["--bind", f"fd://{door.fileno()}", "--workers", str(WORKERS), "--threads", str(_THREADS)]
    command = [sys.executable, "-m", "gunicorn", app, *options]
    environment = os.environ | {"TMINUS_LEDGER": ledger}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, pass_fds=[door.fileno()]
        )
    try:
        yield server
    finally:
        server.terminate()
        server.wait(60)


class Refused(Exception):
    """A submit without an id. The message is the status of the response, or the name of the error."""


def submit(port: int, number: int) -> str:
    """
    Submit a run over a connection of its own. Return its id.

    Raises:
        Refused: there is no id.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", f"/{number}")
        with connection.getresponse() as response:
            text = response.read()
    except (OSError, HTTPException) as error:
        raise Refused(type(error).__name__) from error
    finally:
        connection.close()
    if response.status != 202:
        raise Refused(str(response.status))
    return str(json.loads(text)["id"])
