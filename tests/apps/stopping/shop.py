"""Functions that fork, keep the GIL, and take what they are sent."""

import ctypes
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from flask import Flask

app = Flask("shop")
pool = ProcessPoolExecutor(1)


def pooled(file: str) -> None:
    say(file, f"{os.getpid()} {pool.submit(os.getpid).result()}")


def say(file: str, text: str) -> None:
    """Write a file in one step."""
    new = Path(f"{file}.new")
    new.write_text(text)
    new.replace(file)


def keeps_the_gil(file: str) -> None:
    say(file, str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)


def takes(text: str) -> int:
    return len(text)
