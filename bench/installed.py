"""What the bench needs beside its own Python; in CI it is installed from Debian's packages."""

import os
import shutil
import subprocess
import sys

#: Command, and the package that brings it.
_WANTED = {"nginx": "nginx-light", "tcpdump": "tcpdump", "gcc": "gcc", "ip": "iproute2"}


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
