"""
An application served as in production: gunicorn in a process group of its own, and a browser in front of it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.daemon import eventually
from tests.support.moments import PATIENCE_S

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class Gunicorn:
    """
    `gunicorn MODULE:APP` in a folder, on a port of its own, on which it may be stopped and started again.

    Args:
        options: More options of gunicorn, such as `--preload`.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        *options: str,
        workers: int = 4,
        threads: int = 4,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.log_file = folder / "gunicorn.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._app = app
        self._options = [*options, "--workers", str(workers), "--threads", str(threads)]
        self._env = dict(env or {})
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(1024)

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> "Gunicorn":
        """Start the server, and wait until all workers have booted; return it."""
        assert self.process is None or self.process.poll() is not None
        booted = self._booted()
        workers = int(self._options[self._options.index("--workers") + 1])
        inherited = self._socket.fileno()
        command = [sys.executable, "-m", "gunicorn", self._app, "--bind", f"fd://{inherited}", *self._options]
        environment = os.environ | {"PYTHONPATH": os.getcwd()} | self._env
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stderr=log,
                stdout=log,
                pass_fds=[inherited],
                start_new_session=True,
            )
        eventually(
            lambda: self._booted() >= booted + workers or self._has_died(),
            what="gunicorn's workers have booted",
        )
        return self

    def stop(self) -> None:
        """Send SIGTERM, and wait."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Send SIGKILL to the server and its workers, and wait."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def workers(self) -> list[int]:
        """Return the processes of the workers that run now."""
        assert self.process is not None
        with contextlib.suppress(OSError):
            tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
            return [int(child) for task in tasks for child in task.read_text().split()]
        return []

    def close(self) -> None:
        """Kill the server if it still runs."""
        if self.process is not None:
            self.kill()
        self._socket.close()

    def _booted(self) -> int:
        return self.log_file.read_text().count("Booting worker") if self.log_file.exists() else 0

    def _has_died(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"gunicorn ended: {self.log_file.read_text()[-3000:]}"
        return False


@contextlib.contextmanager
def gunicorn(
    folder: Path,
    app: str,
    *options: str,
    workers: int = 4,
    threads: int = 4,
    env: Mapping[str, str] | None = None,
) -> Iterator[Gunicorn]:
    """Yield a server that has started; kill it at the end if it still runs."""
    server = Gunicorn(folder, app, *options, workers=workers, threads=threads, env=env)
    try:
        yield server.start()
    finally:
        server.close()


def example(name: str, folder: Path) -> Path:
    """Copy an example into a folder; return the folder of the copy."""
    return Path(shutil.copytree(EXAMPLES / name, folder / name))


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """
    Yield a real browser without a window. Expectations on its pages wait as long as everything in these tests.
    """
    expect.set_options(timeout=PATIENCE_S * 1000)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()
