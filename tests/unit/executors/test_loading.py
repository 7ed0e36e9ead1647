"""What jobs name is loaded by a thread of its own."""

import threading

import pytest

from tests.support.threads import no_thread
from tminus.executors.python.loading import Loader


def test_a_function_for_whose_import_there_was_no_thread_is_loaded_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader = Loader()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            loader.load("json:dumps", 20)
    assert loader.load("json:dumps", 20)([]) == "[]"
