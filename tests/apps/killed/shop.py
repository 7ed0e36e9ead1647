"""Background functions that take their time, and that end their process."""

import os
import time
from pathlib import Path

from flask import Flask

from tminus.flask import Scheduler, background, current_occurrence

folder = Path(__file__).parent
if "TMINUS_APP" in os.environ and (folder / "broken").exists():
    raise RuntimeError("not yet")
app = Flask("shop")
scheduler = Scheduler(app, app="shop")


def note(words: object) -> None:
    descriptor = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{words}\n".encode())
    os.close(descriptor)


@background
def work(number: int) -> int:
    note(number)
    time.sleep(0.02)
    return number


@background
def stubborn() -> None:
    note("stubborn")
    while not (folder / "go").exists():
        time.sleep(0.01)


@background
def dies_when_told() -> None:
    note("dies")
    while not current_occurrence().should_stop:
        time.sleep(0.01)
    os._exit(3)


@background
def dies_once() -> None:
    if (folder / "notes").exists():
        note("lives")
        return
    note("dies")
    os._exit(3)


@app.post("/work/<int:number>")
def hand_over(number: int) -> dict[str, str]:
    return {"id": work.submit(number).id}
