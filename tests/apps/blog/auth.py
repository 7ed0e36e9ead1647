"""Registration, login, and forgotten passwords."""

from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required, login_user, logout_user

from .extensions import db
from .forms import ForgottenForm, LogInForm, RegisterForm, ResetForm
from .models import User, user_by_email, user_by_name, user_by_token
from .tasks import send_password_notice, send_reset_link, send_welcome

pages = Blueprint("auth", __name__, url_prefix="/auth")


@pages.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Show the form, or make a user. The welcome is submitted if the user is committed."""
    if current_user.is_authenticated:
        return redirect(url_for("posts.timeline"))
    form = RegisterForm()
    if not form.validate_on_submit():
        return render_template("form.html", title="Register", form=form)
    user = User(name=form.name.data, email=form.email.data)
    user.is_editor = user.email == current_app.config["EDITOR"]
    user.set_password(form.password.data)
    db.session.add(user)
    db.session.flush()
    send_welcome.submit_on_commit(db.session, user.id)
    db.session.commit()
    flash("Welcome! A mail is on its way.")
    return redirect(url_for(".log_in"))


@pages.get("/confirm")
def confirm() -> ResponseReturnValue:
    """Confirm the address of a user, by the link of the welcome."""
    user = user_by_token(request.args.get("token", ""), "confirm")
    if user is None:
        abort(404)
    user.is_confirmed = True
    db.session.commit()
    return render_template("message.html", title="Thank you", text=f"{user.email} is confirmed.")


@pages.route("/log-in", methods=["GET", "POST"])
def log_in() -> ResponseReturnValue:
    """Show the form, or log a user in."""
    form = LogInForm()
    if not form.validate_on_submit():
        return render_template("form.html", title="Log in", form=form, is_login=True)
    user = user_by_name(form.name.data)
    if user is None or not user.has_password(form.password.data):
        flash("Name or password is wrong.")
        return redirect(url_for(".log_in"))
    login_user(user, remember=form.remember.data)
    return redirect(_own_page(request.args.get("next", "")) or url_for("posts.timeline"))


@pages.post("/log-out")
@login_required
def log_out() -> ResponseReturnValue:
    """Log the user out."""
    logout_user()
    return redirect(url_for(".log_in"))


@pages.route("/forgotten", methods=["GET", "POST"])
def forgotten() -> ResponseReturnValue:
    """Show the form, or send a link. The response does not tell whether there is such a user."""
    form = ForgottenForm()
    if not form.validate_on_submit():
        return render_template("form.html", title="Forgotten password", form=form)
    if user := user_by_email(form.email.data):
        send_reset_link.submit(user.id)
    flash("If we know this address, a mail is on its way.")
    return redirect(url_for(".log_in"))


@pages.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Show the form, or replace the password, by the link of a mail."""
    user = user_by_token(request.args.get("token", ""), "reset")
    if user is None:
        abort(404)
    form = ResetForm()
    if not form.validate_on_submit():
        return render_template("form.html", title="New password", form=form)
    user.set_password(form.password.data)
    user.is_confirmed = True
    send_password_notice.submit_on_commit(db.session, user.id)
    db.session.commit()
    flash("Your password is changed.")
    return redirect(url_for(".log_in"))


def _own_page(address: str) -> str:
    """Return a path of this application; empty if the address leads elsewhere."""
    parts = urlsplit(address)
    is_own = not parts.scheme and not parts.netloc and parts.path.startswith(f"{request.root_path}/")
    return address if is_own else ""
