"""A hundred jobs at once in one application, each with a database connection and a session of its own."""

import json
from pathlib import Path

import pytest

from tests.support.postgres import a_schema_of_its_own
from tests.support.runner import RunnerProcess, a_call, runner

_SHOP = """
import os, threading
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy

app = Flask("shop")
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DB"]
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 100}
db = SQLAlchemy(app)
all_in = threading.Barrier(int(os.environ["AT_ONCE"]))

class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.Text, unique=True)

with app.app_context():
    db.create_all()

def take_orders(n):
    connection = db.session.connection()
    connection = id(connection.connection.dbapi_connection)
    one = db.session.execute(db.text(os.environ["WHO"])).scalar()
    all_in.wait(60)
    found = db.session.info.setdefault("mine", n)
    db.session.rollback()
    db.session.add(Order(name=f"order {n}"))
    if n % 10 == 3:
        db.session.flush() if n == 3 else None
        raise ValueError("changed my mind")
    db.session.commit()
    return [one, connection, found]

def count():
    return [Order.query.count(), db.engine.pool.checkedout()]
"""


def _run(process: RunnerProcess, at_once: int) -> list[list[int]]:
    done = process.run(
        *(a_call("shop:take_orders", n, index=n, total_ns=90 * 10**9) for n in range(at_once)),
        lead_ns=3 * 10**9,
    )
    assert {n for n, one in done.items() if one.cause} == {n for n in range(at_once) if n % 10 == 3}
    assert {one.detail for one in done.values() if one.cause} == {"ValueError: changed my mind"}
    return [json.loads(one.body) for n, one in sorted(done.items()) if not one.cause]


def test_a_hundred_jobs_on_sqlite_have_a_connection_each_and_none_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{tmp_path}/shop.db?timeout=60")
    monkeypatch.setenv("AT_ONCE", "100")
    monkeypatch.setenv("WHO", "select 1")
    with runner(tmp_path, _SHOP) as process:
        done = _run(process, 100)
        assert len({connection for _, connection, _ in done}) == 90
        assert [mine for _, _, mine in done] == [n for n in range(100) if n % 10 != 3]
        assert json.loads(process.run(a_call("shop:count"))[0].body) == [90, 1]


def test_sixty_jobs_on_postgresql_have_a_connection_each_and_none_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_schema_of_its_own() as url:
        monkeypatch.setenv("SHOP_DB", url)
        monkeypatch.setenv("AT_ONCE", "60")
        monkeypatch.setenv("WHO", "select pg_backend_pid()")
        with runner(tmp_path, _SHOP) as process:
            done = _run(process, 60)
            assert len({backend for backend, _, _ in done}) == 54
            assert json.loads(process.run(a_call("shop:count"))[0].body) == [54, 1]
