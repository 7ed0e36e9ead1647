"""The interpreter, folder and environment of a runner, for the process that starts it."""

import errno
import os
import sys
from pathlib import Path

from tminus.model.definitions import App

#: A folder with only this package: no library of the daemon may shadow one of the application.
_ALONE = str(Path(__file__).resolve().parent / "alone")
#: Variables for the daemon only: its own, which may contain the ledger's password, and those of systemd.
_OURS_BEGIN = ("TMINUS_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "MEMORY_PRESSURE_", "PYTHONHOME", "PYTHONPATH")
_OURS_ALONE = frozenset(
    {"INVOCATION_ID", "JOURNAL_STREAM", "MANAGERPID", "MAINPID", "SYSTEMD_EXEC_PID"}
    | {f"{kind}_DIRECTORY" for kind in ("STATE", "RUNTIME", "CACHE", "LOGS", "CONFIGURATION", "CREDENTIALS")}
)
#: A runner has these even if `env` names others only.
_ALWAYS = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"})


def command_of(app: App | None, *words: str) -> list[str]:
    """Return the command of a runner; `app` is None for functions without an application."""
    python = app.python if app and app.python else sys.executable
    return [python, "-m", "tminus.executors.python", *words, *([app.app] if app else [])]


def look_at(folder: str, python: str) -> None:
    """
    Check that a runner can be started in this folder, with this interpreter. A file system may hang here.

    Raises:
        OSError: it cannot be started.
    """
    Path(folder).stat()
    if not os.access(python, os.X_OK):
        Path(python).stat()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def environment_of(app: App | None, folder: str) -> dict[str, str]:
    """
    Return the environment of a runner: the daemon's without the variables for the daemon only, or those that
    `env` names; the lines of `env_file`; and a search path with nothing of the daemon except this package.

    Raises:
        OSError: its file cannot be read.
        ValueError: a line of it cannot be a variable.
    """
    environment = {name: value for name, value in os.environ.items() if _is_passed_on(name, app)}
    own = _lines_of(app.env_file) if app and app.env_file else {}
    where = app.directory if app else folder
    more = own.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    # Absolute, because the runner has another current directory when it reads them.
    more_paths = [os.path.join(where, path) for path in more.split(os.pathsep) if path]
    paths = [_ALONE, *([where] if app else []), *more_paths, folder]
    ours = {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
        "TMINUS_APP": app.name if app else "",
    }
    return environment | own | ours


def _is_passed_on(name: str, app: App | None) -> bool:
    if name.startswith(_OURS_BEGIN) or name in _OURS_ALONE:
        return False
    return app is None or app.env is None or name in app.env or name in _ALWAYS


def _lines_of(file: str) -> dict[str, str]:
    """
    Return the variables of `NAME=value` lines. Empty lines and those that begin with # are ignored, and
    quotes around a value are removed.
    """
    found: dict[str, str] = {}
    # Bytes of any encoding, as in an environment.
    for number, line in enumerate(os.fsdecode(Path(file).read_bytes()).split("\n"), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if equals and not name.startswith("#"):
            if not name or "\0" in line:
                raise ValueError(f"{file}:{number} is no line of NAME=value")
            found[name] = (
                value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
            )
    return found
