"""
A distant server on one machine: two network namespaces, and a link between them that delays every packet.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.installed import NotInstalled, compiled, lacks
from bench.machine import ROOT

#: Name of the device at both ends of the link.
DEVICE = "tminus0"
#: Private addresses: nothing outside the two namespaces sees them.
NEAR, FAR = "10.77.0.1", "10.77.0.2"


class NoLink(Exception):
    """Network namespaces cannot be created here. The message has the reason."""


class Link:
    """
    The link, during a `with` block. The delay line ends even if the bench is killed, and the namespaces end
    with their last process. No manual cleanup is needed.

    Args:
        folder: Folder for the delaying program.
        delay_ms: Delay each way, milliseconds.

    Attributes:
        near: Command prefix that enters the namespace of the clients.
        far: The same for the servers.
    """

    near: Sequence[str]
    far: Sequence[str]

    def __init__(self, folder: Path, *, delay_ms: float) -> None:
        self._folder, self._delay_ms = folder, delay_ms
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Link":
        """
        Raises:
            NoLink: the link cannot be created.
        """
        try:
            self._make()
        except NotInstalled as missing:
            raise NoLink(str(missing)) from None
        except BaseException:  # also interrupts: a `with` block that was not entered has no exit
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _make(self) -> None:
        if missing := lacks("ip", "nsenter"):
            raise NoLink(missing)
        program = compiled(ROOT / "bench" / "delayline.c", self._folder)
        command = [str(program), str(self._delay_ms)]
        # Its own session, so that Ctrl-C does not end it first.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        descriptors = self._process.stdout.readline().split() if self._process.stdout else []
        if len(descriptors) != 2:
            raise NoLink(self._process.communicate()[1].strip())
        self.near, self.far = (
            ("nsenter", f"--net=/proc/{self._process.pid}/fd/{each}") for each in descriptors
        )
        for inside, address in ((self.near, NEAR), (self.far, FAR)):
            _ip(inside, "link", "set", "lo", "up")
            _ip(inside, "address", "add", f"{address}/24", "dev", DEVICE)
            # Room for a thousand handshakes at once, which must not be lost before the link.
            _ip(inside, "link", "set", DEVICE, "txqueuelen", "20000", "up")


def _ip(inside: Sequence[str], *words: str) -> None:
    done = subprocess.run([*inside, "ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLink(f"ip {' '.join(words)}: {done.stderr.strip()}")
