"""
Pages of the documents that are run as they stand.

A block whose first line is `# NAME` is a file of that name. The commands of an `sh` block are given to one
shell, and the `text` block behind it is what they print, where `…` stands for anything. A command at its end
that only reads is repeated until it prints that.

Instants, durations, process ids and the like stand for those of the run; the same instant stands for the same
one everywhere, also in commands. A port 808N stands for one that is free.
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import eventually
from tests.support.moments import PATIENCE_S
from tests.support.small_disk import mount_small_disk

pytestmark = pytest.mark.long

_DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w.]+\.(?:py|yaml))\n")
_PORT = re.compile(r"\b808\d\b")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?")
#: What is another one in each run, by what it looks like on the page.
_VARYING = {
    "…": r"[^\n]*",
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ",
    r"[\d.]+ (?:µs|ms|s|min|h)\b": r"[\d.]+ (?:µs|ms|s|min|h)(?: [\d.]+ s)?",
    r"\d+ fire times": r"\d+ fire times",
    r"\b[0-9a-f]{12}\b": r"[0-9a-f]{12}",
}
_TOKEN = re.compile("|".join(f"(?P<_{n}>{like})" for n, like in enumerate([_INSTANT.pattern, *_VARYING])))
#: Commands that change nothing.
_READS = ("cat ", "sort ", "tminus status", "tminus logs", "tminus history")
#: Printed after each command.
_DONE = "--done--"
#: What is started with & has this in its log when it can be used.
_READY = {"tminus": "ready", "gunicorn": "Booting worker"}


class Shell:
    """A bash in a folder; what runs in its background ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        disk = folder / "var"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {
            "PATH": path,
            "PYTHONPATH": os.getcwd(),
            "TMINUS_LOG": "json",
            "LC_ALL": "C.UTF-8",
        }
        with (folder / "stderr").open("w") as errors:
            self._process = subprocess.Popen(
                ["bash"],  # noqa: S607
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
                preexec_fn=(lambda: mount_small_disk(str(disk))) if disk.exists() else None,
            )

    def run(self, command: str) -> list[str]:
        """The lines that it prints; with `2> FILE &` at its end it is ready when this returns."""
        begun = re.fullmatch(r"(\w+) .* 2> (\S+) &", command)
        log = self._folder / begun[2] if begun else None
        if log:
            log.unlink(missing_ok=True)
        assert self._process.stdin
        self._process.stdin.write(f"{command}\necho {_DONE}\n")
        self._process.stdin.flush()
        printed = list(iter(self._line, _DONE))
        if begun and log:
            eventually(
                lambda: log.exists() and _READY[begun[1]] in log.read_text(), what=f"{command} is ready"
            )
        return printed

    def close(self) -> None:
        """End it, and all that it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=PATIENCE_S)

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the shell has ended: {(self._folder / 'stderr').read_text()}"
        return re.sub(r"\t+", " ", line.rstrip())  # a table that is not printed on a terminal


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """In a folder of its own."""
    bash = Shell(tmp_path)
    yield bash
    bash.close()


class Transcript:
    """What the page says, with the instants of this run for those of the page."""

    def __init__(self) -> None:
        self._instants: dict[str, str] = {}

    def of_this_run(self, command: str) -> str:
        """Return a command with the instants of this run."""
        return _INSTANT.sub(lambda found: self._instants.get(found[0], found[0]), command)

    def is_as_written(self, printed: list[str], expected: str) -> bool:
        """Return whether that was printed; if so, learn its instants."""
        instants: list[str] = []
        pattern, end = "", 0
        for token in _TOKEN.finditer(expected):
            pattern += re.escape(expected[end : token.start()])
            end = token.end()
            if token.lastgroup != "_0":
                pattern += list(_VARYING.values())[int(str(token.lastgroup)[1:]) - 1]
            elif token[0] in self._instants:
                pattern += re.escape(self._instants[token[0]])
            elif token[0] in instants:
                pattern += rf"(?:\{instants.index(token[0]) + 1})"
            else:
                instants.append(token[0])
                pattern += f"({_INSTANT.pattern})"
        pattern += re.escape(expected[end:])
        found = re.fullmatch(pattern, "".join(f"{line}\n" for line in printed))
        if found:
            self._instants |= dict(zip(instants, found.groups(), strict=True))
        return found is not None


def with_free_ports(text: str) -> str:
    """
    Return the page with ports that are free for those that it names.

    A page may use them minutes later, so they are none that the system gives to a connection meanwhile.
    """
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    free: dict[str, str] = {}
    for named in set(_PORT.findall(text)):
        while named not in free:
            drawn = random.SystemRandom().randrange(10_000, given)
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", drawn)):
                free[named] = str(drawn)
    return _PORT.sub(lambda found: free[found[0]], text)


PAGES = ["from-a-thread.md", "which-context.md", "deferreds.md", "chains.md", "testing.md", "sign-in.md"]


def play(text: str, folder: Path, shell: Shell) -> None:
    """Do what a page says, and compare what is printed."""
    for name, file in ((found[1], block) for block in _BLOCK.findall(text) if (found := _FILE.match(block))):
        (folder / name).write_text(file)
    scripts, transcript = _SCRIPT.findall(text), Transcript()
    assert len(scripts) == text.count("```sh\n") > 0
    for script, expected in scripts:
        *commands, last = transcript.of_this_run(script).splitlines()
        printed = [line for command in commands for line in shell.run(command)]
        shown = shell.run(last)
        until = time.monotonic() + PATIENCE_S
        while (
            not (is_as_written := transcript.is_as_written(printed + shown, expected))
            and last.startswith(_READS)
            and time.monotonic() < until
        ):
            shown = shell.run(f"sleep 0.1; {last}")
        assert is_as_written, "\n".join(printed + shown)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_says(page: str, tmp_path: Path, shell: Shell) -> None:
    play((_DOCS / page).read_text(), tmp_path, shell)


def test_the_nights_go_as_their_page_says(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    try:
        shell = Shell(tmp_path)
    except subprocess.SubprocessError:
        pytest.skip("only root may mount a small disk")
    try:
        play(with_free_ports((_DOCS / "at-night.md").read_text()), tmp_path, shell)
    finally:
        shell.close()
