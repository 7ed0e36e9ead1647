"""Functions that a row of the ledger may start, and functions that it may not."""

from pathlib import Path
from typing import Any

from flask import Flask

from tminus.flask import Scheduler, background

app = Flask("shop")
scheduler = Scheduler(app, app="shop")
folder = Path(__file__).parent


def note(*words: Any, **more: Any) -> None:
    with (folder / "notes").open("a") as file:
        file.write(f"{words} {more}\n")


def plain(*words: Any, **more: Any) -> None:
    note("plain", *words)


def follows(value: Any, **more: Any) -> None:
    note("follows", value, **more)


@background(then=[{"callback": {"call": follows, "kwargs": {"text": "${env:NOT_SET} {{ as written }}"}}}])
def look(word: str) -> str:
    return word


later = background(note)
