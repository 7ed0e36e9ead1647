"""What a function gets of a run, and what it may do with it."""

import pytest

from tminus.executors.python.payload_objects import Request


def test_headers_that_cannot_all_be_set_leave_those_before_as_they_are() -> None:
    request = Request("GET", "http://shop.example.com/", [("X-Key", "1")], None)
    with pytest.raises(ValueError, match="line break"):
        request.headers = {"X-New": "2", "X-Bad": "a\nb"}
    assert dict(request.headers) == {"X-Key": "1"}
