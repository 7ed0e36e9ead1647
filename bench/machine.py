"""The machine and the versions, without which milliseconds mean nothing."""

import os
import platform
import re
import resource
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pycurl

ROOT = Path(__file__).resolve().parent.parent
#: What runs have written.
OUT = ROOT / "bench" / "run"
#: Above this load, other programs use the cores.
_QUIET_LOAD = 0.5


def describe() -> dict[str, str]:
    """Return what to print above the figures."""
    load = os.getloadavg()[0]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "tminus": f"{version('tminus')}, commit {commit()}",
        "python": platform.python_version(),
        "pycurl": f"{version('pycurl')}, {pycurl.version.split()[1]}",
        "apscheduler": version("apscheduler"),
        "nginx": _first_line(["nginx", "-v"]).removeprefix("nginx version: "),
        "tcpdump": _first_line(["tcpdump", "--version"]),
        "gcc": _first_line(["gcc", "--version"]),
        "open files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "real-time priority": "allowed" if may_run_real_time() else "not allowed here",
        "load before": f"{load:.2f}"
        + ("" if load <= _QUIET_LOAD else ": NOT QUIET, other programs use the cores"),
    }


def code() -> str:
    """
    Return what identifies the code of the package: commits that change only documents and tests have the
    same. Empty if it is changed and not committed.
    """
    changed = ["git", "-C", str(ROOT), "status", "--porcelain", "--", "scheduler/tminus"]
    tree = ["git", "-C", str(ROOT), "rev-parse", "HEAD:scheduler/tminus"]
    return "" if _first_line(changed) else _first_line(tree)


def heading(title: str, machine: dict[str, str]) -> str:
    """Format as Markdown."""
    return "\n".join(
        [f"# {title}", "", *(f"- {name}: {value or 'none'}" for name, value in machine.items()), ""]
    )


def may_run_real_time() -> bool:
    """
    Return whether a child process may use SCHED_FIFO. A child tries it, so this process stays unchanged.
    """
    child = os.fork()
    if not child:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def most_threads() -> int:
    """Return how many threads a process can have here."""
    limits = [resource.getrlimit(resource.RLIMIT_NPROC)[0]]
    for file, divisor in (
        ("/proc/sys/kernel/threads-max", 1),
        ("/proc/sys/kernel/pid_max", 1),
        ("/proc/sys/vm/max_map_count", 2),  # a stack and its guard page
        ("/sys/fs/cgroup/pids.max", 1),
    ):
        text = Path(file).read_text().strip() if Path(file).exists() else ""
        if text.isdigit():
            limits.append(int(text) // divisor)
    return min(limit for limit in limits if limit > 0)


def most_files() -> int:
    """
    Raise the limit of open files as far as possible, for this process and its children. Return it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def commit() -> str:
    """Return the commit, marked if something is changed."""
    # git rejects a tree of another owner. The commit is then unknown, which is not an error.
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    return _first_line(command) or "not known"


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # nginx prints its version to stderr.
    return next(iter((done.stdout or done.stderr if done.returncode == 0 else "").splitlines()), "")
