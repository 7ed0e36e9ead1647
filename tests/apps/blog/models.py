"""Users, whom they follow, what they write, and their exports."""

from datetime import UTC, datetime

from flask import current_app
from flask_login import UserMixin
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Column, ForeignKey, Select, String, Table, Text, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from werkzeug.security import check_password_hash, generate_password_hash

from .extensions import Base, Model, db, login

follows = Table(
    "follows",
    Base.metadata,
    Column("follower_id", ForeignKey("users.id"), primary_key=True),
    Column("followed_id", ForeignKey("users.id"), primary_key=True),
)


def now() -> datetime:
    """Return the time in UTC, without a zone, as SQLite keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


class User(UserMixin, Model):
    """A person who writes."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    #: Counts the passwords, so that a link of an earlier one is not valid any more.
    password_number: Mapped[int] = mapped_column(default=0)
    about: Mapped[str] = mapped_column(String(300), default="")
    is_editor: Mapped[bool] = mapped_column(default=False)
    is_confirmed: Mapped[bool] = mapped_column(default=False)
    joined_at: Mapped[datetime] = mapped_column(default=now)

    def set_password(self, password: str) -> None:
        """Replace the password."""
        self.password_hash = generate_password_hash(password)
        self.password_number = (self.password_number or 0) + 1

    def has_password(self, password: str) -> bool:
        """Return whether this is the password."""
        return check_password_hash(self.password_hash, password)

    def link_token(self, purpose: str) -> str:
        """Return a token for a link in a mail; it is valid for one purpose and until the next password."""
        return _signer(purpose).dumps([self.id, self.password_number])

    def follow(self, other: "User") -> None:
        """Follow another user, or do nothing if that is so."""
        if not self.is_following(other):
            db.session.execute(insert(follows).values(follower_id=self.id, followed_id=other.id))

    def unfollow(self, other: "User") -> None:
        """Stop following another user."""
        db.session.execute(
            delete(follows).where(follows.c.follower_id == self.id, follows.c.followed_id == other.id)
        )

    def is_following(self, other: "User") -> bool:
        """Return whether this user follows the other one."""
        query = select(follows).where(follows.c.follower_id == self.id, follows.c.followed_id == other.id)
        return db.session.execute(query).first() is not None

    def followers(self) -> int:
        """Return how many follow this user."""
        query = select(func.count()).select_from(follows).where(follows.c.followed_id == self.id)
        return db.session.scalar(query) or 0

    def posts(self) -> "Select[Post]":
        """Return the query of the user's own posts, oldest first."""
        return select(Post).where(Post.author_id == self.id).order_by(Post.id)

    def post_count(self) -> int:
        """Return how many posts the user has written."""
        return db.session.scalar(select(func.count()).select_from(self.posts().subquery())) or 0

    def timeline(self) -> "Select[Post]":
        """Return the query of the posts of the user and of everybody the user follows, newest first."""
        followed = select(follows.c.followed_id).where(follows.c.follower_id == self.id)
        is_shown = (Post.author_id == self.id) | Post.author_id.in_(followed)
        return select(Post).where(is_shown).order_by(Post.id.desc())


class Post(Model):
    """A text of one user."""

    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(default=now, index=True)
    author: Mapped[User] = relationship()

    def as_json(self) -> dict[str, str]:
        """Return what an export contains of the post."""
        return {"text": self.text, "written_at": self.written_at.isoformat()}


class Export(Model):
    """A request of a user for all posts by mail. Its id is that of the background run."""

    __tablename__ = "exports"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(default=now)
    total: Mapped[int] = mapped_column(default=0)
    exported: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]


@login.user_loader
def load_user(number: str) -> User | None:
    """Return the user of a session."""
    return db.session.get(User, int(number))


def user_by_name(name: str) -> User | None:
    """Return the user with this name."""
    return db.session.scalar(select(User).where(User.name == name))


def user_by_email(email: str) -> User | None:
    """Return the user with this address."""
    return db.session.scalar(select(User).where(User.email == email))


def user_by_token(token: str, purpose: str) -> User | None:
    """Return the user of a link in a mail; None if the link is not valid any more."""
    try:
        number, password_number = _signer(purpose).loads(token, max_age=current_app.config["LINK_AGE"])
    except BadData:
        return None
    user = db.session.get(User, number)
    return user if user and user.password_number == password_number else None


def _signer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt=purpose)
