"""Background functions that call one another, look at their contexts, wait, fail, and have callbacks."""

import math
import time
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request

from tminus.flask import Scheduler, background

app = Flask("shop")
app.config["GREETING"] = "hello"
folder = Path(__file__).parent
scheduler = Scheduler(app, app="shop")


def note(words: str) -> None:
    """Append a line to the notes."""
    with (folder / "notes").open("a") as file:
        file.write(f"{words}\n")


@app.teardown_appcontext
def tear_down(error: BaseException | None) -> None:
    """Note the end of what has left its name in `g`."""
    if "name" in g:
        note(f"{g.name} torn down: {error!r}")


@background
def fibonacci(n: int) -> int:
    """Return a Fibonacci number; call itself directly."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@background
def echo(*args: Any, last: Any = "the default", **more: Any) -> list[Any]:
    return [args, last, more]


#: A function of another module.
choose = background(math.comb)


def undecorated() -> None:
    """Never called: nothing here declares it."""
    note("undecorated was called")


@background
def look_around(name: str, number: int = 0) -> list[Any]:
    """Return the arguments and what the contexts have; leave something in `g`."""
    found = [name, number, current_app.config["GREETING"], request.args.get("q"), g.get("name")]
    g.name = name
    return found


@background
def read(place: str) -> Any:
    """Return the attribute `tenant` of `g` or of the request."""
    places: dict[str, Any] = {"g": g, "request": request}
    return places[place].tenant


@background
def leave(name: str, *, fails: bool = False) -> None:
    g.name = name
    if fails:
        raise ValueError("no")


@background
def wait_for(name: str) -> str:
    """Wait until the test makes the file of this name."""
    while not (folder / name).exists():
        time.sleep(0.01)
    return name


def submit_more(result: int) -> None:
    """Submit a call with the result of a run."""
    note(f"{result} led to {fibonacci.submit(result).id}")


@background(then=[submit_more])
def start(number: int) -> int:
    return number


def report(value: Any) -> None:
    """Note a result or a failure."""
    note(f"reported: {value}")


#: The decorator of all functions with the same callback.
reported = background(then={"both": report})


@reported
def pack(order: str) -> str:
    return f"{order} is packed"


@reported
def send(order: str) -> None:
    raise LookupError(f"{order} has no address")
