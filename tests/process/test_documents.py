"""
Pages of the documents that are run as they stand.

A block whose first line is `# NAME` is a file of that name. The commands of an `sh` block are given to one shell, and the `text`
block behind it is what they print, where `…` stands for anything. A `cat` or `sort` at its end is repeated until others have written that.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import PATIENCE_S, eventually

_DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w.]+\.(?:py|yaml))\n")
#: Printed after each command.
_DONE = "--done--"
#: What is started with & has this in its log when it can be used.
_READY = {"tminus": "ready", "gunicorn": "Booting worker"}


class Shell:
    """A bash in a folder; what runs in its background ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": os.getcwd(), "TMINUS_LOG": "json", "LC_ALL": "C.UTF-8"}
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
            eventually(lambda: log.exists() and _READY[begun[1]] in log.read_text(), what=f"{command} is ready")
        return printed

    def close(self) -> None:
        """End it, and all that it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=PATIENCE_S)

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the shell has ended: {(self._folder / 'stderr').read_text()}"
        return line.rstrip()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """In a folder of its own."""
    bash = Shell(tmp_path)
    yield bash
    bash.close()


def is_as_written(printed: list[str], expected: str) -> bool:
    """Whether that was printed."""
    pattern = re.escape(expected).replace("…", "[^\n]*")
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


@pytest.mark.parametrize("page", ["from-a-thread.md", "which-context.md", "deferreds.md", "chains.md"])
def test_the_page_does_what_it_says(page: str, tmp_path: Path, shell: Shell) -> None:
    text = (_DOCS / page).read_text()
    for name, file in ((found[1], block) for block in _BLOCK.findall(text) if (found := _FILE.match(block))):
        (tmp_path / name).write_text(file)
    scripts = _SCRIPT.findall(text)
    assert len(scripts) == text.count("```sh\n") > 0
    for script, expected in scripts:
        *commands, last = script.splitlines()
        printed = [line for command in commands for line in shell.run(command)]
        shown = shell.run(last)
        until = time.monotonic() + PATIENCE_S
        while last.startswith(("cat ", "sort ")) and not is_as_written(printed + shown, expected) and time.monotonic() < until:
            shown = shell.run(f"sleep 0.1; {last}")
        assert is_as_written(printed + shown, expected), "\n".join(printed + shown)
