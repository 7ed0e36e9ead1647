"""
Chains against Twisted's Deferred: the same links, the same calls in the same order with the same values.
"""

import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.support.daemon import tminus_json

#: What a function of a chain does with what it gets, once it has noted it.
_ORACLE = """
import json

def run(raises, gives):
    if raises:
        raise ValueError(gives)
    return gives

def act(value, log, name, does, gives):
    is_failure = isinstance(value, Exception)
    with open(log, "a") as file:
        file.write(json.dumps([name, "failure", str(value)] if is_failure else [name, "result", value]) + "\\n")
    if does == "raises":
        raise ValueError(gives)
    if does == "raises it again" and is_failure:
        raise value
    return gives if does == "returns" else value
"""


@dataclass(frozen=True)
class Act:
    """A function of a chain, or a job that it starts."""

    name: str
    does: str
    gives: Any


@dataclass(frozen=True)
class Chain:
    """A run, and what follows it: a link is (callback, errback), or both are the same."""

    raises: bool
    gives: Any
    links: tuple[tuple[Act | None, Act | None], ...]


_names = itertools.count()
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.text("añ\n\0'\"", max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
)
_does = st.sampled_from(["returns", "raises", "hands it on", "raises it again", "run"])
_acts = st.builds(Act, st.builds(lambda: f"f{next(_names)}"), _does, _values)
_links = st.one_of(
    st.tuples(_acts, st.none()),
    st.tuples(st.none(), _acts),
    st.tuples(_acts, _acts),
    _acts.map(lambda act: (act, act)),
)
_chains = st.builds(Chain, st.booleans(), _values, st.lists(_links, min_size=1, max_size=6).map(tuple))


def of_twisted(chain: Chain) -> tuple[list[list[Any]], int]:
    """The calls that a Deferred makes, and how many jobs are started meanwhile."""
    calls: list[list[Any]] = []
    runs: list[str] = []

    def words(error: BaseException) -> str:
        return f"ValueError: {error}" if str(error) else "ValueError"

    def called(act: Act) -> Callable[[Any], Any]:
        def call(value: Any) -> Any:
            is_failure = isinstance(value, Failure)
            if act.does == "run":
                runs.append(act.name)
            else:
                calls.append(
                    [act.name, "failure", words(value.value)] if is_failure else [act.name, "result", value]
                )
            if act.does == "raises":
                raise ValueError(act.gives)
            if act.does == "raises it again" and is_failure:
                raise value.value
            return act.gives if act.does == "returns" else value

        return call

    deferred: Deferred[Any] = Deferred()
    for callback, errback in chain.links:
        deferred.addCallbacks(
            called(callback) if callback else _handed_on, called(errback) if errback else _handed_on
        )
    if chain.raises:
        deferred.errback(ValueError(chain.gives))
    else:
        deferred.callback(chain.gives)
    deferred.addErrback(lambda _: None)  # what nobody has handled would be logged
    return calls, len(runs)


def _handed_on(value: Any) -> Any:
    return value


def job_of(chain: Chain, log: Path) -> dict[str, Any]:
    """The same as a job."""

    def handler(act: Act) -> dict[str, Any]:
        if act.does == "run":
            return {"run": "noted"}
        return {
            "call": "oracle:act",
            "kwargs": {"log": str(log), "name": act.name, "does": act.does, "gives": act.gives},
        }

    then = []
    for callback, errback in chain.links:
        if callback is errback and callback:
            then.append({"both": handler(callback)})
        else:
            then.append(
                {name: handler(act) for name, act in (("callback", callback), ("errback", errback)) if act}
            )
    return {
        "schedule": "manual",
        "call": {"ref": "oracle:run", "args": [chain.raises, chain.gives]},
        "then": then,
    }


@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(_chains, min_size=25, max_size=25))
def test_chains_call_what_deferreds_call(chains: list[Chain]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "oracle.py").write_text(_ORACLE)
        logs = {f"job_{index}": folder / f"job_{index}.log" for index in range(len(chains))}
        jobs: dict[str, Any] = {
            job: job_of(chain, logs[job]) for job, chain in zip(logs, chains, strict=True)
        }
        jobs["noted"] = {
            "schedule": "manual",
            "call": {"ref": "oracle:run", "args": [False, 1]},
            "overlap": "allow_all",
        }
        (folder / "jobs.yaml").write_text(json.dumps({"version": 1, "timezone": "UTC", "jobs": jobs}))
        ledger = f"sqlite:///{folder}/ledger.db"
        ended = {one["job"]: one for one in tminus_json("--ledger", ledger, "run-now", *logs, cwd=folder)}
        runs = 0
        for chain, (job, log) in zip(chains, logs.items(), strict=True):
            calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
            expected, started = of_twisted(chain)
            assert calls == expected, chain
            assert ended[job]["outcome"] == ("failed" if chain.raises else "succeeded")
            assert len(ended[job]["chain"]) == len(chain.links)
            runs += started
        assert len(tminus_json("--ledger", ledger, "history", "noted", "--limit", "1000", cwd=folder)) == runs
