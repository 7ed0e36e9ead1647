"""The scheduler of the application, and who may do what in its jobs."""

from flask import Request
from flask_login import current_user
from sqlalchemy import select

from tminus.flask import Scheduler, current_occurrence

from .extensions import db, login
from .models import Export, User


def may_see_run(id: str) -> bool:
    """Return whether the current user may see a run: it is the user's own export."""
    export = db.session.get(Export, id)
    return export is not None and current_user.is_authenticated and export.user_id == current_user.id


scheduler = Scheduler(app="blog", authorize=may_see_run)


@login.request_loader
def load_user_of_a_job(_request: Request) -> User | None:
    """Sign the editor in for the nightly report. A visitor cannot be inside a job."""
    try:
        job = current_occurrence().id.partition("@")[0]
    except RuntimeError:
        return None
    return db.session.scalar(select(User).where(User.is_editor)) if job == "nightly_report" else None
