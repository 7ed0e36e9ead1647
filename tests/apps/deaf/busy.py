"""An application that keeps the GIL of its runner."""

import ctypes
import os
from pathlib import Path

from flask import Flask

app = Flask("busy")


def keeps_the_gil(file: str) -> None:
    new = Path(f"{file}.new")
    new.write_text(str(os.getpid()))
    new.replace(file)
    ctypes.PyDLL(None).sleep(600)


def takes(text: str) -> int:
    return len(text)
