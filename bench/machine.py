"""The machine and the versions: a figure in milliseconds means nothing without them."""

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
#: Above this, somebody else is using the cores.
_QUIET_LOAD = 0.5


def describe() -> dict[str, str]:
    """What to print above the figures."""
    load = os.getloadavg()[0]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "tminus": f"{version('tminus')}, commit {_commit()}",
        "python": platform.python_version(),
        "pycurl": f"{version('pycurl')}, {pycurl.version.split()[1]}",
        "apscheduler": version("apscheduler"),
        "nginx": _first_line(["nginx", "-v"]).removeprefix("nginx version: "),
        "tcpdump": _first_line(["tcpdump", "--version"]),
        "gcc": _first_line(["gcc", "--version"]),
        "open files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "real-time priority": "allowed" if may_run_real_time() else "not allowed here",
        "load before": f"{load:.2f}" + ("" if load <= _QUIET_LOAD else ": NOT QUIET, somebody else uses the cores"),
    }


def heading(title: str, machine: dict[str, str]) -> str:
    """As Markdown."""
    return "\n".join([f"# {title}", "", *(f"- {name}: {value or 'none'}" for name, value in machine.items()), ""])


def may_run_real_time() -> bool:
    """Whether a process that we start may take SCHED_FIFO; asked in a child, which it does not outlive."""
    child = os.fork()
    if not child:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def most_threads() -> int:
    """How many threads a process may have here."""
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
    """How many files a process may have open here; our own limit is raised to it, and children have it from us."""
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


def _commit() -> str:
    # A tree owned by somebody else is refused by git: the commit is then not known, which is no reason to fail.
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    return _first_line(command) or "not known"


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # nginx says its version on stderr.
    return next(iter((done.stdout or done.stderr if done.returncode == 0 else "").splitlines()), "")
