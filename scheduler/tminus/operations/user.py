"""The person who asks for something."""

import getpass
import os
import socket


def current_user() -> str:
    """Return who runs this process, `user@host`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
