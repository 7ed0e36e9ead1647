"""What a runner has of the daemon's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tminus.flask
from tminus.executors.python.launch import environment_of
from tminus.model.definitions import App


@pytest.fixture(autouse=True)
def daemon_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a daemon under systemd."""
    for name in (
        "TMINUS_LEDGER",
        "NOTIFY_SOCKET",
        "INVOCATION_ID",
        "LISTEN_FDNAMES",
        "CREDENTIALS_DIRECTORY",
        "STATE_DIRECTORY",
    ):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("SHOP_TOKEN", "for the shop")
    monkeypatch.setenv("CRM_TOKEN", "for the crm")


def test_it_has_all_but_what_is_the_daemons_alone() -> None:
    found = environment_of(App(name="shop", app="shop:app", directory="/srv"), "/etc")
    assert (found["SHOP_TOKEN"], found["CRM_TOKEN"], found["TMINUS_APP"]) == (
        "for the shop",
        "for the crm",
        "shop",
    )
    assert "canary" not in found.values()


def test_a_list_of_names_restricts_it(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("OWN=1\n")
    app = App(
        name="shop",
        app="shop:app",
        directory="/srv",
        env=frozenset({"SHOP_TOKEN"}),
        env_file=f"{tmp_path}/env",
    )
    found = environment_of(app, "/etc")
    assert (found["SHOP_TOKEN"], found["OWN"], "PATH" in found) == ("for the shop", "1", True)
    assert "CRM_TOKEN" not in found


def test_an_empty_list_leaves_what_every_process_needs() -> None:
    found = environment_of(App(name="shop", app="shop:app", directory="/srv", env=frozenset()), "/etc")
    assert set(found) <= {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "TMINUS_APP",
    }


@pytest.mark.processes
def test_runners_find_our_package_alone_though_no_folder_can_be_written_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    search_path = environment_of(None, "/")["PYTHONPATH"].split(os.pathsep)[0]
    code = "import tminus.flask; print(tminus.flask.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": search_path},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()) == Path(tminus.flask.__file__)
    assert {one.name for one in Path(search_path).iterdir()} - {"__pycache__"} == {"__init__.py", "tminus"}
    assert list(tmp_path.iterdir()) == []


def test_a_relative_search_path_is_relative_to_the_folder_of_the_application(tmp_path: Path) -> None:
    (tmp_path / "shop.env").write_text("PYTHONPATH=lib:/opt/more\n")
    app = App(name="shop", app="shop:app", directory="/srv/shop", env_file=str(tmp_path / "shop.env"))
    _, *found = environment_of(app, "/etc")["PYTHONPATH"].split(os.pathsep)
    assert found == ["/srv/shop", "/srv/shop/lib", "/opt/more", "/etc"]


def test_a_value_may_be_of_any_bytes_and_is_not_cut_by_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "shop.env").write_bytes(b"LATIN=\xe4\r\nWIDE=a\xc2\x85b\xe2\x80\xa8c\n")
    found = environment_of(
        App(name="shop", app="shop:app", directory="/", env_file=str(tmp_path / "shop.env")), "/"
    )
    assert os.fsencode(found["LATIN"]) == b"\xe4"
    assert found["WIDE"] == "a\x85b\u2028c"
