"""Actions that follow the commit of a SQLAlchemy session, and do not happen if it rolls back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

_KEY = "tminus.on_commit"


def on_commit(session: Any, action: Callable[[], object]) -> None:
    """
    Call `action` once the current transaction of a session is committed. If it, or a savepoint around this
    call, is rolled back, the action is dropped. If an action raises, the others are called all the same, and
    `commit` raises the first error; the transaction is committed then.

    Args:
        session: A `Session`, `scoped_session`, `AsyncSession`, or Flask-SQLAlchemy's `db.session`.
    """
    if hasattr(session, "registry"):
        session = session()
    session = getattr(session, "sync_session", session)
    if _KEY not in session.info:
        session.info[_KEY] = _Actions(session)
    session.info[_KEY].add(session, action)


class _Actions:
    """The actions of a session, each with its transaction or savepoint."""

    def __init__(self, session: "Session") -> None:
        from sqlalchemy import event

        self._waiting: list[tuple[SessionTransaction | None, Callable[[], object]]] = []
        self._committed: list[Callable[[], object]] = []
        event.listen(session, "after_commit", self._on_commit)
        event.listen(session, "after_transaction_end", self._on_end)

    def add(self, session: "Session", action: Callable[[], object]) -> None:
        if not session.in_transaction():
            session.begin()  # otherwise a rollback before the first statement would not be noticed
        self._waiting.append((_current(session), action))

    def _on_commit(self, session: "Session") -> None:
        """Pass the actions of a savepoint on to the transaction around it; those of a transaction are due."""
        ended = _current(session)
        outer = ended.parent if ended is not None else None
        if outer is None:
            self._committed += [action for owner, action in self._waiting if owner is ended]
            self._waiting = [(owner, action) for owner, action in self._waiting if owner is not ended]
        else:
            self._waiting = [(outer if owner is ended else owner, action) for owner, action in self._waiting]

    def _on_end(self, session: "Session", transaction: "SessionTransaction") -> None:
        """Call what is due. What still belongs to the transaction was rolled back with it."""
        self._waiting = [(owner, action) for owner, action in self._waiting if owner is not transaction]
        if transaction.parent is not None:
            return
        due, self._committed = self._committed, []
        errors = []
        for action in due:
            try:
                action()
            except Exception as error:  # noqa: BLE001  the others are called all the same
                errors.append(error)
        if errors:
            raise errors[0]


def _current(session: "Session") -> "SessionTransaction | None":
    return session.get_nested_transaction() or session.get_transaction()
