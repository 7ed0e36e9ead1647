"""The report of the night: a page for the editor, and a job that sends it."""

from datetime import timedelta

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import select

from tminus.flask import Answer

from .extensions import db
from .mails import send_mail
from .models import Post, User, now
from .runs import scheduler

pages = Blueprint("reports", __name__)


def send_report(answer: Answer) -> None:
    """Send the report to the editors."""
    for editor in db.session.scalars(select(User).where(User.is_editor)):
        send_mail("The last day", editor, "report", text=answer.text)


@pages.get("/reports/last-day")
@scheduler.job(
    "nightly_report", cron="0 3 * * *", timezone="UTC", misfire_grace_time="6h", then=[send_report]
)
@login_required
def last_day() -> ResponseReturnValue:
    """Show what was written on the last day, and who has joined."""
    if not current_user.is_editor:
        abort(403)
    since = now() - timedelta(days=1)
    posts = db.session.scalars(select(Post).where(Post.written_at > since).order_by(Post.id)).all()
    users = db.session.scalars(select(User).where(User.joined_at > since).order_by(User.id)).all()
    text = render_template("report.txt", posts=posts, users=users, reader=current_user)
    return text, {"Content-Type": "text/plain; charset=utf-8"}
