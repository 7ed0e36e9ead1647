"""Links that note that they were called, and runs that start chains."""

import threading
import time
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
folder = Path(__file__).parent


def note(value: Value, name: str) -> Value:
    """Append the link and its value to the notes; return the value."""
    with (folder / "notes").open("a") as file:
        file.write(f"{name} {value}\n")
    return value


def waits(value: object) -> str:
    note(value, "waits")
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "waited"


def number() -> int:
    return 42


def slow() -> None:
    note("", "slow")
    threading.Event().wait()
