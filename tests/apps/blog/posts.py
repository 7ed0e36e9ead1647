"""Posts: the timeline, all of them, and a search."""

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import Select, select

from .extensions import db
from .forms import ButtonForm, PostForm
from .models import Post

pages = Blueprint("posts", __name__)


@pages.route("/", methods=["GET", "POST"])
@login_required
def timeline() -> ResponseReturnValue:
    """Show the posts of the user and of everybody the user follows, or publish another one."""
    form = PostForm()
    if form.validate_on_submit():
        db.session.add(Post(author_id=current_user.id, text=form.text.data))
        db.session.commit()
        flash("It is published.")
        return redirect(url_for(".timeline"))
    return _page_of("Your timeline", current_user.timeline(), form=form)


@pages.get("/explore")
@login_required
def explore() -> ResponseReturnValue:
    """Show everybody's posts."""
    return _page_of("Everybody's posts", select(Post).order_by(Post.id.desc()))


@pages.get("/search")
@login_required
def search() -> ResponseReturnValue:
    """Show the posts with a word."""
    word = request.args.get("word", "")
    found = select(Post).where(Post.text.icontains(word, autoescape=True)).order_by(Post.id.desc())
    return _page_of(f"Posts with {word}", found)


@pages.get("/posts/<int:number>")
def show(number: int) -> ResponseReturnValue:
    """Show a post to everybody."""
    return render_template("post.html", title="A post", post=db.get_or_404(Post, number), button=ButtonForm())


@pages.post("/posts/<int:number>/delete")
@login_required
def delete(number: int) -> ResponseReturnValue:
    """Delete a post of the user."""
    post = db.get_or_404(Post, number)
    if post.author_id != current_user.id:
        abort(403)
    db.session.delete(post)
    db.session.commit()
    flash("It is deleted.")
    return redirect(url_for(".timeline"))


def _page_of(title: str, query: Select[Post], *, form: PostForm | None = None) -> str:
    found = db.paginate(query, per_page=current_app.config["POSTS_PER_PAGE"], error_out=False)
    return render_template("posts.html", title=title, found=found, form=form)
