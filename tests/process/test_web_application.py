"""docs/web-application.md: its units are valid, and its application works with its jobs file."""

import grp
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.daemon import daemon, eventually, tminus
from tests.support.moments import PATIENCE_S
from tests.support.web import gunicorn

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"^```\w+\n# (/\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_UNITS = "etc/systemd/system"


@dataclass(frozen=True)
class Machine:
    """The files of the page in a folder; their paths begin with it."""

    folder: Path

    def __post_init__(self) -> None:
        programs = Path(sys.executable).parent
        places = {
            "/srv/shop/.venv/bin/": f"{programs}/",
            "/opt/tminus/.venv/bin/": f"{programs}/",
            **{f"{top}/": f"{self.folder}{top}/" for top in ("/srv/shop", "/etc/tminus", "/etc/shop")},
        }
        page = (ROOT / "docs" / "web-application.md").read_text()
        deployed = (
            ("/etc/systemd/system/tminus.service", (ROOT / "deploy" / "tminus.service").read_text()),
            (
                "/etc/systemd/system/tminus.service.d/ledger-group.conf",
                (ROOT / "deploy" / "ledger-group.conf").read_text(),
            ),
        )
        for name, text in (*_FILE.findall(page), *deployed):
            file = self.folder / name.removeprefix("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            for place, here in places.items():
                text = text.replace(place, here)
            file.write_text(text)
        data, environment = self.folder / "srv/shop/data", self.folder / "etc/shop/environment"
        data.mkdir()
        data.chmod(0o2770)
        environment.parent.mkdir()
        environment.write_text("SECRET_KEY=made up\n")

    def text(self, name: str) -> str:
        """Return the text of a file."""
        return (self.folder / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """The machine of the page, without its users."""
    return Machine(tmp_path)


def test_the_units_of_the_page_are_valid(machine: Machine) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    folder = machine.folder / _UNITS
    units = [str(folder / unit) for unit in ("tminus.service", "shop.service")]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"}
    command = ["systemd-analyze", "verify", "--man=no", *units]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (said.returncode, said.stderr) == (0, "")  # a key that is unknown is only a warning


def test_the_web_workers_may_write_where_the_daemon_shares(machine: Machine) -> None:
    web, shared = machine.text(f"{_UNITS}/shop.service"), machine.text(f"{_UNITS}/tminus.service")
    drop_ins = machine.text(f"{_UNITS}/tminus.service.d/ledger-group.conf")
    (group,) = re.findall(r"^Group=(.*)", shared, re.MULTILINE)
    assert f"SupplementaryGroups={group}\n" in web
    assert f"ledger_group: {group}" in machine.text("etc/tminus/jobs.yaml")
    for line in ("StateDirectoryMode=2770\n", "UMask=0007\n"):
        assert line in drop_ins
    assert "UMask=0007\n" in web


@pytest.mark.long
def test_a_view_of_the_page_submits_and_its_run_writes_its_file(machine: Machine) -> None:
    folder, own = machine.folder, grp.getgrgid(os.getegid()).gr_name
    jobs = machine.text("etc/tminus/jobs.yaml").replace("ledger_group: tminus", f"ledger_group: {own}")
    application = folder / "srv/shop/app"
    with daemon(folder, jobs) as running:
        environment = {"TMINUS_LEDGER": running.ledger, "SECRET_KEY": "made up"}
        with gunicorn(application, "shop:app", workers=2, env=environment) as web:
            with urlopen(Request(f"{web.url}/exports", method="POST"), timeout=PATIENCE_S) as response:  # noqa: S310
                status = json.load(response)["status"]

            def ended() -> dict[str, object] | None:
                with urlopen(f"{web.url}{status}", timeout=PATIENCE_S) as response:  # noqa: S310
                    run: dict[str, object] = json.load(response)
                return run if run["state"] in ("completed", "failed") else None

            run = eventually(ended, what="the run has ended")
        assert (run["state"], run["result"]) == ("completed", "export.csv")
        written = folder / "srv/shop/data/export.csv"
        assert written.read_text() == "shoes,3\n"
        ledger = folder / "ledger" / "ledger.db"
        assert stat.filemode(ledger.stat().st_mode) == "-rw-rw----"
        assert stat.filemode(ledger.parent.stat().st_mode) == "drwxrws---"
        assert tminus(*running.arguments("run-now", "clean_up")).returncode == 0
        assert not written.exists()
