"""Users as others see them."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from .extensions import db
from .forms import ButtonForm, ProfileForm
from .models import User, user_by_name

pages = Blueprint("profiles", __name__)


@pages.get("/users/<name>")
def show(name: str) -> ResponseReturnValue:
    """Show a user, with the latest posts."""
    user = _user_or_404(name)
    latest = db.paginate(user.posts(), error_out=False)
    is_followed = current_user.is_authenticated and current_user.is_following(user)
    return render_template(
        "profile.html", title=name, user=user, found=latest, is_followed=is_followed, button=ButtonForm()
    )


@pages.post("/users/<name>/follow")
@login_required
def follow(name: str) -> ResponseReturnValue:
    """Follow a user, or stop that."""
    user = _user_or_404(name)
    if user.id == current_user.id:
        flash("You cannot follow yourself.")
    elif current_user.is_following(user):
        current_user.unfollow(user)
        flash(f"You do not follow {name} any more.")
    else:
        current_user.follow(user)
        flash(f"You follow {name}.")
    db.session.commit()
    return redirect(url_for(".show", name=name))


@pages.route("/profile", methods=["GET", "POST"])
@login_required
def edit() -> ResponseReturnValue:
    """Show the form, or change what others see."""
    form = ProfileForm(obj=current_user)
    if not form.validate_on_submit():
        return render_template("form.html", title="Your profile", form=form)
    current_user.about = form.about.data
    db.session.commit()
    return redirect(url_for(".show", name=current_user.name))


def _user_or_404(name: str) -> User:
    return user_by_name(name) or abort(404)
