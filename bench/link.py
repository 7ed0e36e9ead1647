"""A server at a distance, on one machine: two network namespaces, and a link between them that delays every packet."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.installed import NotInstalled, compiled, lacks
from bench.machine import ROOT

#: The name of the link's device at both ends.
DEVICE = "tminus0"
#: Nobody else's: nothing outside the two namespaces sees them.
NEAR, FAR = "10.77.0.1", "10.77.0.2"


class NoLink(Exception):
    """Network namespaces may not be made here; the message says why."""


class Link:
    """
    For the length of a `with` block. The delay line ends even with a bench that is killed, and the namespaces with the last
    process in them: nothing has to be cleaned up by hand.

    Args:
        folder: For the program that delays.
        delay_ms: Each way.

    Attributes:
        near: The command that puts another to where clients are.
        far: The same for servers.
    """

    near: Sequence[str]
    far: Sequence[str]

    def __init__(self, folder: Path, *, delay_ms: float) -> None:
        self._folder, self._delay_ms = folder, delay_ms
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Link":
        """
        Raises:
            NoLink: it cannot be made.
        """
        try:
            self._make()
        except NotInstalled as missing:
            raise NoLink(str(missing)) from None
        except BaseException:  # interrupted, too: a `with` block that was not entered is not left
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
        # A session of its own: Ctrl-C ends it last.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        descriptors = self._process.stdout.readline().split() if self._process.stdout else []
        if len(descriptors) != 2:
            raise NoLink(self._process.communicate()[1].strip())
        self.near, self.far = (("nsenter", f"--net=/proc/{self._process.pid}/fd/{each}") for each in descriptors)
        for inside, address in ((self.near, NEAR), (self.far, FAR)):
            _ip(inside, "link", "set", "lo", "up")
            _ip(inside, "address", "add", f"{address}/24", "dev", DEVICE)
            # A thousand handshakes at once must not be lost before the link has taken them in.
            _ip(inside, "link", "set", DEVICE, "txqueuelen", "20000", "up")


def _ip(inside: Sequence[str], *words: str) -> None:
    done = subprocess.run([*inside, "ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLink(f"ip {' '.join(words)}: {done.stderr.strip()}")
