"""The person who asks for something."""

import getpass
import os
import pwd
import socket
from collections.abc import Mapping


def current_user(environ: Mapping[str, str] = os.environ) -> str:
    """Return who runs this process, `user@host`. Under `sudo`, return the user who called it."""
    try:
        name = _caller_of_sudo(environ) or getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _caller_of_sudo(environ: Mapping[str, str]) -> str | None:
    """Return the user who called `sudo`; None if this process does not run under it."""
    name, uid = environ.get("SUDO_USER"), environ.get("SUDO_UID")
    if not name or uid is None:
        return None
    try:
        # If this process runs as that user itself, the variables are left over from somewhere else.
        is_caller = str(pwd.getpwnam(name).pw_uid) == uid and uid != str(os.getuid())
    except KeyError:
        return None
    return name if is_caller else None
