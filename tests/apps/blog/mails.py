"""Mails, each from a template."""

from typing import Any

from flask import render_template
from flask_mail import Attachment, Message

from tminus.flask import current_occurrence

from .extensions import mail
from .models import User


def send_mail(
    subject: str, to: User, template: str, *, attachments: list[Attachment] | None = None, **values: Any
) -> None:
    """
    Send a mail to a user, in a job.

    The header `X-Run` has the id of its background run. A run may be called again, and then sends the mail again.
    """
    run_id = current_occurrence().run_id
    mail.send(
        Message(
            subject,
            recipients=[to.email],
            body=render_template(f"mail/{template}.txt", user=to, **values),
            attachments=attachments,
            extra_headers={"X-Run": run_id} if run_id else None,
        )
    )
