"""The extensions, not yet bound to an application."""

from typing import TYPE_CHECKING, Any

from flask import Flask
from flask_login import LoginManager
from flask_mail import Mail
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The tables."""


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model

login = LoginManager()
login.login_view = "auth.log_in"
login.session_protection = "strong"
mail = Mail()
csrf = CSRFProtect()


def prepare_database(app: Flask) -> None:
    """Let web workers and the runner use one file at once: a writer waits for the others, a reader does not."""

    def set_up(connection: Any, _record: object) -> None:
        for setting in ("busy_timeout = 240000", "journal_mode = wal", "synchronous = normal"):
            connection.execute(f"PRAGMA {setting}")

    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", set_up)
