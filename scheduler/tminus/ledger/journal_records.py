"""Conversions between outcomes and the records of a journal. A record has what the ledger would store."""

import base64
from collections.abc import Mapping
from typing import Any

from tminus.model.batch import ChainStart, OccurrenceResult, RetryRecord, UnstartedResult
from tminus.model.chain import value_of
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.model.phases import Phases
from tminus.model.sent_request import SentRequest
from tminus.outcome import Origin, Outcome

#: What the recorder writes.
Recordable = OccurrenceResult | UnstartedResult | RetryRecord


def to_record(item: Recordable) -> dict[str, Any]:
    """Return the record of an outcome, or of an attempt that is followed by another one."""
    key = {"job": item.id.job, "fire_time_ns": item.id.fire_time_ns, "run": item.id.run}
    match item:
        case RetryRecord():
            more: dict[str, Any] = {
                "kind": "retry",
                "attempt": _from_attempt(item.attempt),
                "due_ns": item.due_ns,
                "executor": item.executor,
            }
        case UnstartedResult():
            more = {
                "kind": "unstarted",
                "planned_at_ns": item.planned_at_ns,
                "origin": item.origin,
                "config_version": item.config_version,
                "outcome": item.outcome,
                "reason": item.reason,
                "count": item.count,
                "covers_until_ns": item.covers_until_ns,
                "chain": _from_chain(item.chain),
            }
        case OccurrenceResult():
            more = {
                "kind": "ended",
                "outcome": item.outcome,
                "reason": item.reason,
                "finished_at_ns": item.finished_at_ns,
                "executor": item.executor,
                "attempts": [_from_attempt(attempt) for attempt in item.attempts],
                "chain": _from_chain(item.chain),
                "is_background": item.is_background,
                "result": item.result,
            }
    return key | more


def from_record(record: Mapping[str, Any]) -> Recordable:
    """
    Return the outcome in a record.

    Raises:
        ValueError, KeyError, TypeError: the record is not valid.
    """
    fields = dict(record)
    kind = fields.pop("kind")
    identity = OccurrenceId(
        job=fields.pop("job"), fire_time_ns=fields.pop("fire_time_ns"), run=fields.pop("run")
    )
    if kind == "retry":
        return RetryRecord(id=identity, **fields | {"attempt": _to_attempt(fields["attempt"])})
    fields |= {"outcome": Outcome(fields["outcome"]), "chain": _to_chain(fields["chain"])}
    if kind == "unstarted":
        return UnstartedResult(id=identity, **fields | {"origin": Origin(fields["origin"])})
    attempts = tuple(_to_attempt(attempt) for attempt in fields["attempts"])
    return OccurrenceResult(id=identity, **fields | {"attempts": attempts})


def _from_chain(chain: ChainStart | None) -> dict[str, Any] | None:
    return {"links": list(chain.links), "value": chain.value.as_text()} if chain else None


def _to_chain(fields: Mapping[str, Any] | None) -> ChainStart | None:
    return ChainStart(links=tuple(fields["links"]), value=value_of(fields["value"])) if fields else None


def _from_attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "started_at_ns": attempt.started_at_ns,
        "finished_at_ns": attempt.finished_at_ns,
        "duration_ns": attempt.duration_ns,
        "armed": attempt.armed,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "http_status": attempt.http_status,
        "headers": list(attempt.headers),
        "body": base64.b64encode(attempt.body).decode(),
        "body_size": attempt.body_size,
        "output": base64.b64encode(attempt.output).decode(),
        "request": attempt.request and attempt.request.to_text(),
        "phases": attempt.phases.to_text(),
    }


def _to_attempt(fields: Mapping[str, Any]) -> Attempt:
    read = {
        "outcome": Outcome(fields["outcome"]),
        "headers": tuple(fields["headers"]),
        "body": base64.b64decode(fields["body"], validate=True),
        "output": base64.b64decode(fields["output"], validate=True),
        "request": fields["request"] and SentRequest.from_text(fields["request"]),
        "phases": Phases.from_text(fields["phases"]),
    }
    return Attempt(**{**fields, **read})
