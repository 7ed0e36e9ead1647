"""Exports: a user asks for all posts, and follows how far they are."""

import os

from flask import Blueprint, abort, current_app, flash, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tminus.flask import RunStatus, UsageError

from .extensions import db
from .forms import ButtonForm, ExportForm
from .models import Export
from .runs import scheduler
from .tasks import export_posts

pages = Blueprint("exports", __name__, url_prefix="/exports")


@pages.get("/")
@login_required
def index() -> ResponseReturnValue:
    """Show the exports of the user, and the button for another one."""
    return render_template("exports.html", title="Your exports", exports=_own_exports(), form=ExportForm())


@pages.post("/")
@login_required
def start() -> ResponseReturnValue:
    """
    Start an export. The row and the run have the key of the form as their id. So a browser that got no response may
    send the form again: it finds the row, and the run if that was submitted.
    """
    form = ExportForm()
    if not form.validate_on_submit():
        return render_template("exports.html", title="Your exports", exports=_own_exports(), form=form), 400
    key = form.key.data
    if db.session.get(Export, key) is None:
        if any(_is_in_progress(export) for export in _own_exports()):
            flash("Your last export is not sent yet.")
            return redirect(url_for(".index"))
        _add_export(key)
    if _own_export(key).sent_at is None:
        export_posts.submit_on_commit(db.session, current_user.id, id=key)
        current_app.logger.info("export %s is asked for in process %d", key, os.getpid())
        db.session.commit()
    return redirect(url_for(".show", id=key))


@pages.get("/<id>")
@login_required
def show(id: str) -> ResponseReturnValue:
    """Show an export."""
    export = _own_export(id)
    return render_template(
        "export.html", title="An export", export=export, status=_status(export), button=ButtonForm()
    )


@pages.get("/<id>.json")
@login_required
def progress(id: str) -> ResponseReturnValue:
    """Return the row of an export as JSON."""
    export = _own_export(id)
    return jsonify(total=export.total, exported=export.exported, is_sent=export.sent_at is not None)


@pages.post("/<id>/cancel")
@login_required
def cancel(id: str) -> ResponseReturnValue:
    """Cancel an export."""
    is_cancelled = scheduler.run(_own_export(id).id).cancel()
    flash("It is cancelled." if is_cancelled else "It has ended.")
    return redirect(url_for(".show", id=id))


def _own_exports() -> list[Export]:
    query = select(Export).where(Export.user_id == current_user.id).order_by(Export.asked_at)
    return list(db.session.scalars(query))


def _own_export(id: str) -> Export:
    export = db.session.get(Export, id)
    return export if export and export.user_id == current_user.id else abort(404)


def _add_export(key: str) -> None:
    db.session.add(Export(id=key, user_id=current_user.id, total=current_user.post_count()))
    try:
        db.session.flush()
    except IntegrityError:  # the same form was sent twice, and the other one was quicker
        db.session.rollback()


def _status(export: Export) -> RunStatus | None:
    """Return the status of the run of an export; None if the run was never submitted, or is long over."""
    try:
        return scheduler.run(export.id).status()
    except UsageError:
        return None


def _is_in_progress(export: Export) -> bool:
    status = _status(export) if export.sent_at is None else None
    return status is not None and status.outcome is None
