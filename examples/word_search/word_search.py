"""
A search for letters: the page responds at once, and a background run logs the search to a database 15 s
later.
"""

import json
import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from flask import Flask, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from search_log import DatabaseError, use_database
from sqlalchemy import text
from werkzeug.security import check_password_hash, generate_password_hash

from tminus.flask import Failure, Scheduler, background, current_occurrence

HERE = Path(__file__).resolve().parent

app = Flask(__name__)
app.config.from_mapping(
    DATABASE=f"sqlite:///{HERE}/search_log.db",
    DELAY=15,  # seconds from the response to the log entry
    SPOOL=f"{HERE}/spool",  # entries that the database did not accept
    USERS={},  # name to hash of the password
    SESSION_COOKIE_SAMESITE="Lax",
)
app.config.from_prefixed_env("WORDS")  # WORDS_SECRET_KEY, WORDS_DATABASE, WORDS_DELAY, …
scheduler = Scheduler(app, app="words")

P = ParamSpec("P")
_NOBODY = generate_password_hash(secrets.token_hex())
_WRITE = text(
    "INSERT INTO search_log (run, phrase, letters, found, remote_addr, browser)"
    " VALUES (:run, :phrase, :letters, :found, :remote_addr, :browser) ON CONFLICT (run) DO NOTHING"
)
_READ = text("SELECT * FROM search_log ORDER BY logged_at DESC LIMIT 100")


@app.get("/")
def entry_page() -> str:
    """Show the form."""
    return render_template("search.html")


@app.post("/search")
def search() -> str:
    """Show the result. The log entry is submitted, so the response does not wait for it."""
    log_request.submit(delay=app.config["DELAY"])
    phrase, letters = request.form["phrase"], request.form["letters"]
    return render_template("search.html", phrase=phrase, letters=letters, found=letters_in(phrase, letters))


def letters_in(phrase: str, letters: str) -> str:
    """Return the letters that the phrase contains, once each."""
    return "".join(sorted(set(letters) & set(phrase)))


def tell_admin(failure: Failure) -> None:
    """Errback of `log_request`: log the failure. A handler of this logger could send mails."""
    app.logger.error("a search could not be logged and is kept for `flask read-spool`: %s", failure)


@background(then=[{"errback": tell_admin}])
def log_request() -> None:
    """Log a search. Phrase, remote address and browser come from the copy of the request."""
    phrase, letters = request.form["phrase"], request.form["letters"]
    entry = {
        "run": current_occurrence().id,
        "phrase": phrase,
        "letters": letters,
        "found": letters_in(phrase, letters),
        "remote_addr": request.remote_addr,
        "browser": request.user_agent.string,
    }
    try:
        with use_database(app.config["DATABASE"]) as database:
            database.execute(_WRITE, entry)
    except DatabaseError:
        folder = Path(app.config["SPOOL"])
        folder.mkdir(exist_ok=True)
        (folder / f"{entry['run']}.json").write_text(json.dumps(entry))
        raise  # `tminus history` shows the failure and its reason


def logged_in(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Decorate a view for logged-in users. Redirect others to the login."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if "user" in session:
            return view(*args, **kwargs)
        flash("Log in to see the log.")
        return redirect(url_for("login"))

    return guarded


@app.get("/log")
@logged_in
def view_log() -> ResponseReturnValue:
    """Show the last hundred searches."""
    with use_database(app.config["DATABASE"]) as database:
        return render_template("log.html", entries=database.execute(_READ).mappings().all())


@app.errorhandler(DatabaseError)
def no_log(error: DatabaseError) -> ResponseReturnValue:
    """Show the sentence of the error. Its details go to the log."""
    app.logger.error("%s: %s", type(error).__name__, error)
    return render_template("no_log.html", error=error), 503


@app.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Ask for name and password."""
    if request.method == "GET":
        return render_template("login.html")
    name = request.form["name"]
    # An unknown name takes as long as a wrong password.
    if not check_password_hash(app.config["USERS"].get(name, _NOBODY), request.form["password"]):
        flash("No user has this name and password.")
        return render_template("login.html"), 401
    session.clear()
    session["user"] = name
    return redirect(url_for("view_log"))


@app.post("/logout")
def logout() -> ResponseReturnValue:
    """Log out."""
    session.clear()
    return redirect(url_for("entry_page"))


@app.cli.command("make-table")
def make_table() -> None:
    """Create the table of the log."""
    with use_database(app.config["DATABASE"]) as database:
        database.execute(text((HERE / "schema.sql").read_text()))


@app.cli.command("read-spool")
def read_spool() -> None:
    """Log the entries in the spool. Entries that cannot be logged stay there."""
    for file in sorted(Path(app.config["SPOOL"]).glob("*.json")):
        with use_database(app.config["DATABASE"]) as database:
            database.execute(_WRITE, json.loads(file.read_text()))
        file.unlink()
