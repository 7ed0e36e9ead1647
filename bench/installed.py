"""What the bench needs beside its own Python; in CI it is installed from Debian's packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Command, and the package that brings it.
_WANTED = {"nginx": "nginx-light", "tcpdump": "tcpdump", "gcc": "gcc", "ip": "iproute2"}


class NotInstalled(Exception):
    """Something is not there; the message says what."""


def install_in_ci() -> None:
    """In CI (and nowhere else) install what is missing; what cannot be installed is said, and its part left out."""
    missing = [package for command, package in _WANTED.items() if not shutil.which(command)]
    if not missing:
        return
    if not os.environ.get("CI"):
        names = " ".join(missing)
        print(f"not installed: {names} (apt install {names}); what needs them is left out", file=sys.stderr)
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
    """The first of these that is not installed, in words."""
    for command in commands:
        if shutil.which(command) is None:
            return f"{command} is not installed"
    return None


def compiled(source: Path, folder: Path) -> Path:
    """
    The program made from one file of C.

    Raises:
        NotInstalled: there is no compiler, or no C library to compile against.
    """
    if missing := lacks("gcc"):
        raise NotInstalled(missing)
    program = folder / source.stem
    done = subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"gcc does not compile {source.name}: {done.stderr.strip()[:200]}")
    return program
