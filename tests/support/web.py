"""An application served as in production: gunicorn in a process group of its own, and a browser in front of it."""

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

from tests.support.daemon import PATIENCE_S, eventually

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class Gunicorn:
    """
    `gunicorn MODULE:APP` in that folder, on a port that nobody else has; it may be stopped and started again on it.

    Args:
        options: More of its own, such as `--preload`.
    """

    def __init__(
        self, folder: Path, app: str, *options: str, workers: int = 4, threads: int = 4, env: Mapping[str, str] | None = None
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
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> "Gunicorn":
        """Start it, and wait until all workers have booted."""
        assert self.process is None or self.process.poll() is not None
        booted = self._booted()
        workers = int(self._options[self._options.index("--workers") + 1])
        inherited = self._socket.fileno()
        command = [sys.executable, "-m", "gunicorn", self._app, "--bind", f"fd://{inherited}", *self._options]
        environment = os.environ | {"PYTHONPATH": os.getcwd()} | self._env
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stderr=log, stdout=log, pass_fds=[inherited], start_new_session=True
            )
        eventually(lambda: self._booted() >= booted + workers or self._has_died(), what="gunicorn's workers have booted")
        return self

    def stop(self) -> None:
        """In order: SIGTERM."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """kill -9, the workers with it."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def workers(self) -> list[int]:
        """The processes of its workers that are there now."""
        assert self.process is not None
        with contextlib.suppress(OSError):
            tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
            return [int(child) for task in tasks for child in task.read_text().split()]
        return []

    def close(self) -> None:
        """End what still runs."""
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
    folder: Path, app: str, *options: str, workers: int = 4, threads: int = 4, env: Mapping[str, str] | None = None
) -> Iterator[Gunicorn]:
    """It, started; killed at the end, if it still runs."""
    server = Gunicorn(folder, app, *options, workers=workers, threads=threads, env=env)
    try:
        yield server.start()
    finally:
        server.close()


def example(name: str, folder: Path) -> Path:
    """A copy of an example, to be run there."""
    return Path(shutil.copytree(EXAMPLES / name, folder / name))


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A real browser without a window; what is expected of its pages may take as long as everywhere in these tests."""
    expect.set_options(timeout=PATIENCE_S * 1000)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()
