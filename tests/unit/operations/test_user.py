"""Who asks for something: the user of the process, or the one who called `sudo`."""

import getpass
import os
import pwd
import socket

import pytest

from tminus.operations.user import current_user

OURSELVES = f"{getpass.getuser()}@{socket.gethostname()}"
#: Another user than the one who runs the tests.
CALLER = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (os.getuid(), 0))


def test_under_sudo_it_is_the_user_who_called_it() -> None:
    environ = {"SUDO_USER": CALLER.pw_name, "SUDO_UID": str(CALLER.pw_uid)}
    assert current_user(environ) == f"{CALLER.pw_name}@{socket.gethostname()}"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="no_sudo"),
        pytest.param({"SUDO_USER": CALLER.pw_name}, id="name_alone"),
        pytest.param({"SUDO_USER": CALLER.pw_name, "SUDO_UID": "54321"}, id="number_of_somebody_else"),
        pytest.param({"SUDO_USER": "no-such-user", "SUDO_UID": "54321"}, id="unknown_name"),
        pytest.param(
            {"SUDO_USER": pwd.getpwuid(os.getuid()).pw_name, "SUDO_UID": str(os.getuid())}, id="ourselves"
        ),
    ],
)
def test_without_sudo_it_is_the_user_of_the_process(environ: dict[str, str]) -> None:
    assert current_user(environ) == OURSELVES
