"""Programs that the bench needs besides Python. CI installs them from Debian's packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Command, and the package that contains it.
_WANTED = {"nginx": "nginx-light", "tcpdump": "tcpdump", "gcc": "gcc", "ip": "iproute2", "strace": "strace"}


class NotInstalled(Exception):
    """A program is missing. The message names it."""


def install_in_ci() -> None:
    """
    In CI only, install missing programs. If one cannot be installed, print that; its tables are left out.
    """
    missing = [package for command, package in _WANTED.items() if not shutil.which(command)]
    if not missing:
        return
    if not os.environ.get("CI"):
        names = " ".join(missing)
        print(f"not installed: {names} (apt install {names}); their tables are left out", file=sys.stderr)
        return
    if "gcc" in missing:
        missing.append("libc6-dev")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *missing]):
        if subprocess.call(command, stdout=sys.stderr) != 0:
            print(f"could not install {' '.join(missing)}", file=sys.stderr)
            return


def lacks(*commands: str) -> str | None:
    """Return a sentence about the first of these programs that is not installed."""
    for command in commands:
        if shutil.which(command) is None:
            return f"{command} is not installed"
    return None


def compiled(source: Path, folder: Path, *options: str) -> Path:
    """
    Compile a file of C, with these options of gcc. Return the program or library.

    Raises:
        NotInstalled: the compiler or the C library is missing.
    """
    if missing := lacks("gcc"):
        raise NotInstalled(missing)
    program = folder / source.stem
    done = subprocess.run(
        ["gcc", "-O2", "-o", str(program), str(source), *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotInstalled(f"gcc does not compile {source.name}: {done.stderr.strip()[:200]}")
    return program
