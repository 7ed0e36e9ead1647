"""One executor process serves the tests of a module, as it serves the shards of a day."""

from collections.abc import Iterator

import pytest

from tests.support.executor import ExecutorProcess
from tests.support.target import Authority, TargetServer


@pytest.fixture(scope="module")
def executor() -> Iterator[ExecutorProcess]:
    """The real process, behind its pipes."""
    with ExecutorProcess() as process:
        yield process


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom a job may trust by its `tls.ca`."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["http", "https"])
def either(request: pytest.FixtureRequest, authority: Authority) -> Iterator[TargetServer]:
    """A well-behaved server, with and without TLS."""
    with TargetServer(authority.context() if request.param == "https" else None) as server:
        yield server
