"""A machine that gives no further thread."""

import threading
from typing import NoReturn


def no_thread(_thread: threading.Thread) -> NoReturn:
    """Raise what `Thread.start` raises on such a machine."""
    raise RuntimeError("can't start new thread")
