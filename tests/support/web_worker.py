"""The application `shop` in this process, as a web worker has it."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from scheduler.flask import handover


@contextlib.contextmanager
def web_worker(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its module, imported from that folder; it hands over to the ledger that a daemon of that folder has."""
    (folder / "shop.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("TMINUS_LEDGER", f"sqlite:///{folder}/ledger/ledger.db")
    monkeypatch.setattr(handover, "schedulers", WeakSet())  # a process of its own would not know those of other tests
    try:
        yield importlib.import_module("shop")
    finally:
        del sys.modules["shop"]
