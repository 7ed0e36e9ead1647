"""The most reliable witness: packets, stamped by the kernel inside the client's `send`."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.installed import lacks
from bench.waiting import pause

#: tcpdump reads its ring in blocks, up to a second late. An immediate stop would lose the last blocks.
_LAST_BLOCK_S = 1.3
_RING_KIB = 65536
_FIRST_FOUR = "tcp[((tcp[12:1] & 0xf0) >> 2):4]"
#: Only packets that begin with a method reach user space, so the others cost nothing.
_REQUESTS = " or ".join(
    f"{_FIRST_FOUR} = 0x{word.encode().hex()}" for word in ("GET ", "POST", "PUT ", "HEAD")
)


class NoCapture(Exception):
    """Packets cannot be captured here. The message has the reason."""


class Capture:
    """
    A tcpdump that runs during a `with` block. Afterwards `dropped` counts the packets that the kernel lost.

    Args:
        file: File to write.
        port: Port of the server.
        interface: Interface that the client uses.
        whole: Capture all packets of clients, not only those that begin a request. TLS needs that.
        inside: Command prefix that enters the network namespace.
    """

    def __init__(
        self, file: Path, *, port: int, interface: str = "lo", whole: bool = False, inside: Sequence[str] = ()
    ) -> None:
        self.file = file
        self.dropped = 0
        towards = f"ip and tcp dst port {port}"
        wanted = towards if whole else f"{towards} and ({_REQUESTS})"
        # As root, tcpdump would change to another user, who cannot write there.
        user = ["-Z", "root"] if os.geteuid() == 0 else []
        options = [
            "-i",
            interface,
            "-n",
            "-s",
            "0" if whole else "600",
            "-B",
            str(_RING_KIB),
            "--time-stamp-precision=nano",
        ]
        self._command = [*inside, "tcpdump", *options, *user, "-w", str(file), wanted]

    def __enter__(self) -> "Capture":
        """
        Raises:
            NoCapture: packets cannot be captured.
        """
        if missing := lacks("tcpdump"):
            raise NoCapture(missing)
        self._process = subprocess.Popen(
            self._command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        )
        said = b""
        while b"listening on" not in said:
            line = self._process.stderr.readline() if self._process.stderr else b""
            said += line
            if not line:
                self._process.wait()
                raise NoCapture(
                    said.decode(errors="replace").strip().splitlines()[-1].strip("()")
                    if said
                    else "tcpdump does not start"
                )
        return self

    def __exit__(self, *_: object) -> None:
        pause(_LAST_BLOCK_S)
        self._process.send_signal(signal.SIGINT)
        said = self._process.communicate()[1]
        if found := re.search(rb"(\d+) packets? dropped by kernel", said):
            self.dropped = int(found[1])
