"""Pages for errors."""

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from tminus.flask import LedgerError

pages = Blueprint("errors", __name__)


@pages.app_errorhandler(HTTPException)
def show_error(error: HTTPException) -> ResponseReturnValue:
    """Show an error with its status."""
    return render_template("message.html", title=error.name, text=error.description), error.code or 500


@pages.app_errorhandler(CSRFError)
def ask_to_try_again(error: HTTPException) -> ResponseReturnValue:
    """Explain a form that is too old."""
    text = f"{error.description} Load the page again."
    return render_template("message.html", title="This form is not valid", text=text), 400


@pages.app_errorhandler(LedgerError)
def ask_to_come_back(error: LedgerError) -> ResponseReturnValue:
    """Explain that nothing can be submitted now."""
    current_app.logger.error("cannot submit: %s", error)
    return render_template("message.html", title="Not now", text="Please try it again in a minute."), 503
