"""
A hundred jobs count the stock of a hundred items at 11:30. Each has its own process and calls a service
twenty times, within one context.
"""

import json
import sqlite3
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request

from tminus.flask import Failure, Scheduler, current_occurrence

ITEMS = range(1, 101)
WAREHOUSES = range(1, 21)

app = Flask(__name__)
app.config["SERVICE"] = "http://127.0.0.1:8077"
app.config["DATABASE"] = str(Path(__file__).with_name("inventory.db"))
app.config.from_prefixed_env("INVENTORY")  # $INVENTORY_SERVICE, $INVENTORY_DATABASE
scheduler = Scheduler(app, app="inventory")


def stock() -> dict[str, Any]:
    """
    Ask every warehouse for the stock of this job's item.

    Raises:
        RuntimeError: at least one warehouse gave no count. All have been asked.
    """
    item = request.args["item"]
    counts, refusals = [], []
    for warehouse in WAREHOUSES:
        try:
            counts.append(ask(f"/stock/{item}/{warehouse}")["count"])
        except ValueError as error:
            refusals.append(f"warehouse {warehouse}: {error}")
    if refusals:
        raise RuntimeError("; ".join(refusals))
    return {"item": int(item), "warehouses": len(counts), "count": sum(counts)}


def ask(path: str) -> Any:
    """
    Call the service, on the connection of this context.

    Raises:
        ValueError: the response is an error, or is not JSON.
    """
    if "service" not in g:
        g.service = HTTPConnection(urlsplit(current_app.config["SERVICE"]).netloc, timeout=30)
    g.service.request("GET", path, headers={"X-Occurrence": current_occurrence().id})
    answer = g.service.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise ValueError(f"{answer.status} {answer.reason}")
    return json.loads(text)


@app.teardown_appcontext
def close_service(_error: BaseException | None) -> None:
    """Close the connection with its context."""
    if service := g.pop("service", None):
        service.close()


def stocked(result: dict[str, Any]) -> None:
    """Callback: write the count."""
    write("stocked", f"{result['count']} pieces in {result['warehouses']} warehouses")


def not_stocked(failure: Failure) -> None:
    """Errback: write the reason. It is called for a killed process too."""
    write("failed", str(failure))


def write(state: str, words: str) -> None:
    """Write one row for the job. Its request is active in its links too."""
    row = current_occurrence().id, request.args["item"], state, words
    with closing(sqlite3.connect(current_app.config["DATABASE"], timeout=30)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS inventory (occurrence PRIMARY KEY, item INTEGER, state, words)"
        )
        database.execute("INSERT INTO inventory VALUES (?, ?, ?, ?)", row)


for number in ITEMS:
    scheduler.job(
        f"stock_{number:03}",
        cron="30 11 * * *",
        isolate="process",
        request={"path": "/", "query": {"item": number}},
        then=[{"callback": stocked, "errback": not_stocked}],
        tags=["stock"],
    )(stock)
