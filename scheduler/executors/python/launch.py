"""How a runner is started: in which interpreter, folder and environment. For the side that starts it."""

import errno
import os
import sys
from pathlib import Path

from scheduler.model.definitions import App

#: This package alone: no library of ours may shadow one of the application's.
_ALONE = str(Path(__file__).resolve().parent / "alone")
#: Variables of the daemon alone: its own, which may hold the ledger's password, and those that systemd sets for it.
_OURS_BEGIN = ("TMINUS_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "MEMORY_PRESSURE_", "PYTHONHOME", "PYTHONPATH")
_OURS_ALONE = frozenset(
    {"INVOCATION_ID", "JOURNAL_STREAM", "MANAGERPID", "MAINPID", "SYSTEMD_EXEC_PID"}
    | {f"{kind}_DIRECTORY" for kind in ("STATE", "RUNTIME", "CACHE", "LOGS", "CONFIGURATION", "CREDENTIALS")}
)
#: A runner has these even if `env` names others only.
_ALWAYS = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"})


def command_of(app: App | None, *words: str) -> list[str]:
    """The command of a runner; None is for functions without an application."""
    python = app.python if app and app.python else sys.executable
    return [python, "-m", "scheduler.executors.python", *words, *([app.app] if app else [])]


def look_at(folder: str, python: str) -> None:
    """
    Look whether a runner can be started there with that interpreter. It waits for a file system that hangs.

    Raises:
        OSError: it cannot.
    """
    Path(folder).stat()
    if not os.access(python, os.X_OK):
        Path(python).stat()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def environment_of(app: App | None, folder: str) -> dict[str, str]:
    """
    Return the environment of a runner: ours without what is the daemon's alone, or what `env` names of it; the lines of its
    file; and a search path with nothing of ours but the package itself.

    Raises:
        OSError: its file cannot be read.
        ValueError: a line of it cannot be a variable.
    """
    environment = {name: value for name, value in os.environ.items() if _is_passed_on(name, app)}
    own = _lines_of(app.env_file) if app and app.env_file else {}
    where, more = app.directory if app else folder, own.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    more_paths = [os.path.join(where, path) for path in more.split(os.pathsep) if path]  # it is not there yet when it reads them
    paths = [_ALONE, *([where] if app else []), *more_paths, folder]
    ours = {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
        "TMINUS_APP": app.name if app and app.is_named else "",
    }
    return environment | own | ours


def _is_passed_on(name: str, app: App | None) -> bool:
    if name.startswith(_OURS_BEGIN) or name in _OURS_ALONE:
        return False
    return app is None or app.env is None or name in app.env or name in _ALWAYS


def _lines_of(file: str) -> dict[str, str]:
    """`NAME=value` lines; empty lines and those that begin with # are none, quotes around a value are taken away."""
    found: dict[str, str] = {}
    # Bytes of any encoding, as in an environment.
    for number, line in enumerate(os.fsdecode(Path(file).read_bytes()).split("\n"), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if equals and not name.startswith("#"):
            if not name or "\0" in line:
                raise ValueError(f"{file}:{number} is no line of NAME=value")
            found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return found
