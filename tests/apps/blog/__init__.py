"""A blog: an application with a factory, blueprints, a database, logins, forms, mail and background runs."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from . import auth, errors, exports, posts, profiles, reports
from .config import Defaults
from .extensions import csrf, db, login, mail, prepare_database
from .runs import scheduler


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the application. `BLOG_NAME` in the environment sets NAME of its configuration, `config` any other."""
    app = Flask(__name__)
    app.config.from_object(Defaults)
    app.config.from_prefixed_env("BLOG")
    app.config.from_mapping(config or {})
    app.logger.setLevel(logging.INFO)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]
    for extension in (db, login, mail, csrf, scheduler):
        extension.init_app(app)
    prepare_database(app)
    for part in (auth, posts, profiles, exports, reports, errors):
        app.register_blueprint(part.pages)
    app.cli.command("create-tables")(db.create_all)
    return app
