"""A job in code and a background function; the application notes each import and each call."""

import os
from pathlib import Path

from flask import Flask

from tminus.flask import Scheduler, background

folder = Path(__file__).parent
app = Flask("shop")
scheduler = Scheduler(app, app="shop")


def note(words: str) -> None:
    with (folder / "notes").open("a") as file:
        file.write(f"{words}\n")


note(f"imported in {os.getpid()}")


@scheduler.job(every="1s", overlap="allow_all")
def tick() -> None:
    note("tick")


@background
def work(number: str) -> None:
    note(f"work {number}")


if (folder / "at_import").exists() and "TMINUS_APP" not in os.environ:
    work.submit("of the import")


@app.get("/work/<number>")
def hand_over(number: str) -> dict[str, object]:
    return {"id": work.submit(number).id, "pid": os.getpid()}
