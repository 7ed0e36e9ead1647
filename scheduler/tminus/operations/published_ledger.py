"""
The ledger that a daemon uses for a jobs file. A command with another ledger must not run the same jobs while
that daemon runs.

A daemon listens on a Unix socket in Linux's abstract namespace. The name is made from the jobs file's path,
so that the commands of all users find it. The kernel tells which process listens, and frees the name when
that process ends.
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from tminus.ledger import files

#: At most this many daemons use one jobs file, each with a ledger of its own.
_MOST = 8
_LONGEST = 1 << 16
_ANSWER_S = 1.0
#: Pause after a client that could not be accepted.
_AGAIN_S = 0.1
_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLedger:
    """
    The ledger that a daemon has published for its jobs file.

    Attributes:
        pid: The process id of the daemon.
        ledger: The URL of its ledger without a password; None if the daemon does not answer.
        is_trusted: Whether the daemon is run by root, by this user, or by the owner or the group of the jobs
            file.
    """

    pid: int
    ledger: str | None
    is_trusted: bool


def text_of(url: URL) -> str:
    """Return a ledger's URL without a password, in the same form for all its names."""
    path = files.path_of(url)
    return (
        f"sqlite:///{files.resolve(path)}" if path is not None else url.render_as_string(hide_password=True)
    )


class Publication:
    """
    Publishes the ledger of this daemon until `close` is called, on a thread of its own.

    Attributes:
        is_published: False if there is no room: other processes have taken all names.
    """

    def __init__(self, jobs_file: str, url: URL) -> None:
        self._answer = json.dumps({"ledger": text_of(url)}).encode()
        self._is_closing = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.is_published = any(self._binds(name) for name in _names(jobs_file))
        self._thread = threading.Thread(target=self._serve, name="publication", daemon=True)
        if self.is_published:
            self._thread.start()

    def close(self) -> None:
        """Stop publishing."""
        self._is_closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # ends the accept
        self._socket.close()
        if self.is_published:
            self._thread.join()

    def _binds(self, name: bytes) -> bool:
        try:
            self._socket.bind(name)
            self._socket.listen()
        except OSError:
            return False
        return True

    def _serve(self) -> None:
        while not self._is_closing.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed; or there is no descriptor free now
                self._is_closing.wait(_AGAIN_S)
                continue
            with client, contextlib.suppress(OSError):
                client.setblocking(False)
                client.send(self._answer)


def published(jobs_file: str) -> Iterator[PublishedLedger]:
    """Yield what the daemons with this jobs file have published."""
    for name in _names(jobs_file):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            daemon.settimeout(_ANSWER_S)
            daemon.connect(name)
            credentials = daemon.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, gid = _CREDENTIALS.unpack(credentials)
            yield PublishedLedger(
                pid=pid, ledger=_ledger(daemon), is_trusted=_is_trusted(jobs_file, uid, gid)
            )


def _ledger(daemon: socket.socket) -> str | None:
    try:
        answer = json.loads(daemon.recv(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    ledger = answer.get("ledger") if isinstance(answer, dict) else None
    return ledger if isinstance(ledger, str) else None


def _is_trusted(jobs_file: str, uid: int, gid: int) -> bool:
    about = os.stat(jobs_file)
    return uid in (0, os.geteuid(), about.st_uid) or gid == about.st_gid


def _names(jobs_file: str) -> Iterator[bytes]:
    key = hashlib.sha256(os.fsencode(Path(jobs_file).resolve())).hexdigest()
    return (f"\0tminus/{key}/{number}".encode() for number in range(_MOST))
