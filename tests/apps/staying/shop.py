"""Jobs that go on until the test says so, or for ever."""

import time
from pathlib import Path

from flask import Flask

app = Flask("shop")
folder = Path(__file__).parent


def wait_for(name: str) -> None:
    while not (folder / name).exists():
        time.sleep(0.01)


def stays() -> None:
    with (folder / "notes").open("a") as notes:
        notes.write("began\n")
    wait_for("never")


def holds() -> None:
    wait_for("go")
