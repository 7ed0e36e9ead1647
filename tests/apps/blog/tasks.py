"""Background runs. They get ids, and load the rows themselves. No argument is a secret: it would be stored."""

import json

from flask import current_app, url_for
from flask_mail import Attachment

from tminus.flask import background, current_occurrence

from .extensions import db
from .mails import send_mail
from .models import Export, User, now


@background
def send_welcome(user_id: int) -> None:
    """Send a new user the link that confirms the address."""
    user = db.session.get_one(User, user_id)
    link = url_for("auth.confirm", token=user.link_token("confirm"), _external=True)
    profile = url_for("profiles.show", name=user.name, _external=True)
    send_mail("Welcome to the blog", user, "welcome", link=link, profile=profile)


@background
def send_reset_link(user_id: int) -> None:
    """Send a user the link that replaces the password. It is made here, so that it is not stored."""
    user = db.session.get_one(User, user_id)
    link = url_for("auth.reset", token=user.link_token("reset"), _external=True)
    send_mail("Your new password", user, "reset", link=link)


@background
def send_password_notice(user_id: int) -> None:
    """Tell a user that the password was changed."""
    user = db.session.get_one(User, user_id)
    send_mail("Your password was changed", user, "changed", link=url_for("auth.forgotten", _external=True))


@background
def export_posts(user_id: int) -> dict[str, int]:
    """Send a user all posts, as a file. Its row in the database, and the run, have the progress."""
    run, user = current_occurrence(), db.session.get_one(User, user_id)
    export = db.session.get_one(Export, run.run_id)
    export.total, export.exported = user.post_count(), 0
    posts = []
    for post in db.session.scalars(user.posts()).all():
        if run.should_stop:
            break
        posts.append(post.as_json())
        export.exported = len(posts)
        db.session.commit()
        # The mail is the last step.
        run.progress(len(posts) / (export.total + 1), f"{len(posts)} of {export.total} posts")
    else:
        _send_export(export, user, posts)
    return {"posts": len(posts)}


def _send_export(export: Export, user: User, posts: list[dict[str, str]]) -> None:
    file = Attachment("posts.json", "application/json", json.dumps(posts, indent=1).encode())
    link = url_for("exports.show", id=export.id, _external=True)
    send_mail("Your posts", user, "export", attachments=[file], link=link, count=len(posts))
    export.sent_at = now()
    db.session.commit()
    current_occurrence().progress(1, "sent")
    current_app.logger.info("export %s is sent", export.id)
