"""Jobs in code, and a view that runs, pauses and resumes them."""

from collections.abc import Callable
from typing import Any

from flask import Flask

from tminus.flask import Scheduler, UsageError

app = Flask("shop")
scheduler = Scheduler(app, app="shop")


@scheduler.job(every="1s", overlap="allow_all")
def tick() -> None: ...


@scheduler.job(every="1s", overlap="allow_all")
def tock() -> None: ...


@scheduler.job(cron="0 3 1 1 *", args=["all of it"])
def inventory(what: str) -> str:
    return what


@scheduler.job(cron="0 4 1 1 *", overlap="allow_all")
def audit() -> None: ...


@scheduler.job(schedule="manual")
def breaks() -> None:
    raise ValueError("it is broken")


@app.post("/jobs/<job>/<operation>")
def operate(job: str, operation: str) -> dict[str, Any]:
    """Do with a job what its URL says."""
    operations: dict[str, Callable[[str], Any]] = {
        "run": scheduler.run_now,
        "pause": scheduler.pause,
        "resume": scheduler.resume,
    }
    return {"done": operations[operation](job)}


@app.errorhandler(UsageError)
def refuse(error: UsageError) -> tuple[dict[str, str], int]:
    return {"error": str(error)}, 404
