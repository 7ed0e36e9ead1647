"""Notifications on their way: those to deliver, and how each delivery ended."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from tminus.ledger.engine import Ledger
from tminus.ledger.rows import storable
from tminus.ledger.tables import alerts, notifications
from tminus.model.notification import Notification, NotificationKind

#: Notifications that are read at once.
_MOST = 100
#: After this many tries a delivery is a problem that `status` shows.
_PROBLEM_TRIES = 3
_OPEN = sa.and_(notifications.c.sent_ns.is_(None), notifications.c.given_up_ns.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """The notifications of a channel that cannot be delivered, and why the last delivery failed."""

    channel: str
    count: int
    error: str


def find_due(ledger: Ledger, *, now_ns: int, without: Sequence[str] = ()) -> list[Notification]:
    """
    Return some notifications that are to be delivered now, the oldest first.

    Args:
        ledger: The open ledger.
        now_ns: Wall clock.
        without: Channels whose notifications are left out.
    """
    is_due = sa.and_(_OPEN, notifications.c.next_try_ns <= now_ns, notifications.c.channel.not_in(without))
    query = sa.select(notifications).where(is_due).order_by(notifications.c.next_try_ns, notifications.c.id)
    with ledger.read() as connection:
        rows = connection.execute(query.limit(_MOST)).mappings().all()
    return [
        Notification(
            channel=row["channel"],
            kind=NotificationKind(row["kind"]),
            about=row["about"],
            job=row["job"],
            created_ns=row["created_ns"],
            title=row["title"],
            text=row["text"],
            data=json.loads(row["data"]),
            id=row["id"],
            tries=row["tries"],
        )
        for row in rows
    ]


def record_sent(ledger: Ledger, one: Notification, *, now_ns: int) -> None:
    """Write that a notification was delivered. A ping is deleted: there may be very many."""
    if one.kind.is_ping:
        with ledger.write() as connection:
            connection.execute(notifications.delete().where(notifications.c.id == one.id))
    else:
        _update(ledger, one, sent_ns=now_ns, error=None)


def record_failure(
    ledger: Ledger, one: Notification, *, error: str, next_try_ns: int | None, now_ns: int
) -> None:
    """
    Write that a delivery has failed.

    Args:
        ledger: The open ledger.
        one: The notification.
        error: Why, without secrets.
        next_try_ns: When it is tried again; None if it is given up.
        now_ns: Wall clock.
    """
    again = {"given_up_ns": now_ns} if next_try_ns is None else {"next_try_ns": next_try_ns}
    _update(ledger, one, tries=one.tries + 1, error=storable(error), **again)


def drop_unknown_channels(ledger: Ledger, *, known: Sequence[str]) -> int:
    """
    Delete the alerts and the undelivered notifications of all channels except the known ones. Return the
    number of the notifications.
    """
    with ledger.write() as connection:
        connection.execute(alerts.delete().where(alerts.c.channel.not_in(known)))
        is_unknown = sa.and_(_OPEN, notifications.c.channel.not_in(known))
        return connection.execute(notifications.delete().where(is_unknown)).rowcount


def find_undelivered(ledger: Ledger, *, since_ns: int) -> list[Undelivered]:
    """Return what was tried several times in vain, or was given up since then, by channel."""
    is_problem = sa.or_(
        sa.and_(_OPEN, notifications.c.tries >= _PROBLEM_TRIES), notifications.c.given_up_ns >= since_ns
    )
    newest = sa.func.max(notifications.c.id)
    query = sa.select(notifications.c.channel, sa.func.count(), newest).where(is_problem)
    with ledger.read() as connection:
        found = connection.execute(
            query.group_by(notifications.c.channel).order_by(notifications.c.channel)
        ).all()
        errors = sa.select(notifications.c.id, notifications.c.error)
        ids = [number for _, _, number in found]
        rows = connection.execute(errors.where(notifications.c.id.in_(ids)))
        texts = {row.id: row.error for row in rows}
    return [
        Undelivered(channel=channel, count=count, error=texts[number] or "")
        for channel, count, number in found
    ]


def is_old_notification(before_ns: int) -> sa.ColumnElement[bool]:
    """Return the condition for old notifications that were delivered or given up."""
    return sa.and_(notifications.c.created_ns < before_ns, sa.not_(_OPEN))


def _update(ledger: Ledger, one: Notification, **values: object) -> None:
    with ledger.write() as connection:
        connection.execute(notifications.update().where(notifications.c.id == one.id, _OPEN).values(**values))
