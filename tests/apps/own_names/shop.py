"""An application whose names are those that a scheduler might take."""

from flask import Blueprint, Flask, url_for

from scheduler import start_scheduler  # type: ignore[attr-defined]  # the module beside this one
from tminus.flask import Scheduler, background

app = Flask("shop")
for taken in ("scheduler", "tminus"):
    pages = Blueprint(taken, __name__, url_prefix=f"/{taken}")
    pages.add_url_rule("/", "index", lambda taken=taken: f"the application's own {taken}")
    app.register_blueprint(pages)
scheduler = Scheduler(app, app="shop", name="background", url_prefix="/work", events=True)


@background
def greet() -> str:
    """Return what the application's own module says."""
    return str(start_scheduler())


@scheduler.job(schedule="manual")
def greet_by_hand() -> None:
    """Print what the application's own module says."""
    print(start_scheduler())


@app.post("/greet")
def hand_over() -> dict[str, str]:
    """Return the URLs of a new run, of the script and of the stream."""
    run = greet.submit()
    return {
        "run": url_for("background.run", id=run.id),
        "script": url_for("background.script"),
        "events": url_for("background.run_events", id=run.id),
    }
