"""A view that submits a run, which goes on until the test says `go`."""

import time
from pathlib import Path

from flask import Flask

from tminus.flask import Scheduler, background, current_occurrence

app = Flask("site")
scheduler = Scheduler(app, app="site", events=True)
folder = Path(__file__).parent


@background
def work() -> str:
    current_occurrence().progress(0.25, "a quarter")
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "done\n"


@app.post("/work")
def begin() -> str:
    return work.submit().id
