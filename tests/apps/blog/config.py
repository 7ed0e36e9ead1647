"""Values of the configuration that the environment may replace."""


class Defaults:
    """The configuration of a blog on this machine alone."""

    SECRET_KEY = "made up"
    SQLALCHEMY_DATABASE_URI = "sqlite://"
    SESSION_COOKIE_SECURE = True
    SESSION_COOKIE_SAMESITE = "Lax"
    MAIL_SERVER = "127.0.0.1"
    MAIL_PORT = 25
    MAIL_DEFAULT_SENDER = ("The blog", "blog@blog.example")
    #: Who registers with this address becomes the editor.
    EDITOR = "editor@blog.example"
    POSTS_PER_PAGE = 10
    #: How long a link in a mail is valid, in seconds.
    LINK_AGE = 3600
