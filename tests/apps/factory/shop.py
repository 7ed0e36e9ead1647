"""An application that a factory makes; its view submits a background run, too."""

from flask import Flask, current_app

from tminus.flask import Scheduler, background

scheduler = Scheduler()


@background
def twice(number: int) -> dict[str, object]:
    """Return the double, and in which application."""
    return {"app": current_app.name, "result": 2 * number}


@background
def by_job() -> None:
    """Do nothing."""


@scheduler.job(schedule="manual")
def in_code() -> None:
    """Never defined: nobody asks an inline application for its jobs."""


def create_app() -> Flask:
    """Return the application."""
    app = Flask("shop")
    scheduler.init_app(app)
    app.add_url_rule("/", "page", lambda: by_job.submit().occurrence)
    return app
