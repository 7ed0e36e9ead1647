"""Where it runs: the unit for systemd, the image for containers."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "tminus.service"
DOCKERFILE = ROOT / "Dockerfile"


def test_the_unit_has_as_few_privileges_as_it_can() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    score = re.search(r"Overall exposure level for tminus.service: ([\d.]+)", said)
    assert score, said
    assert float(score[1]) <= 1.5


def test_the_unit_lets_the_lanes_take_their_priority_and_their_connections() -> None:
    lines = UNIT.read_text().splitlines()
    assert {"Type=notify", "LimitRTPRIO=2", "LimitNOFILE=65536", "RestartPreventExitStatus=2"} <= set(lines)
    assert any(line.startswith("WatchdogSec=") for line in lines)


def test_the_unit_leaves_jobs_what_their_libraries_read() -> None:
    assert "ProcSubset=pid" not in UNIT.read_text().splitlines()  # it hides /proc/meminfo and /proc/stat


def test_the_unit_starts_again_until_its_database_is_there() -> None:
    lines = UNIT.read_text().splitlines()
    assert {"Restart=on-failure", "RestartSec=5", "StartLimitIntervalSec=0"} <= set(lines)
    assert any(line.startswith("After=") and "postgresql.service" in line.split() for line in lines)
    # systemd takes it for unknown in any other section.
    assert lines.index("[Unit]") < lines.index("StartLimitIntervalSec=0") < lines.index("[Service]")


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


def test_the_dockerfile_is_not_root_and_ends_in_order() -> None:
    text = DOCKERFILE.read_text()
    assert "\nUSER 10001\n" in text
    assert 'ENTRYPOINT ["tini", "--",' in text
    assert "HEALTHCHECK" in text


def test_the_steps_of_the_image_copy_what_the_dockerfile_copies() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE.read_text(), re.MULTILINE))
    steps = (ROOT / "tests" / "process" / "image_steps.sh").read_text()
    assert copied == set(re.findall(r'"\$checkout/(\S+?)"', steps))


@dataclass(frozen=True)
class Container:
    """
    As much of a container as a folder can be: another user, a system that cannot be written to, its own
    state.
    """

    folder: Path
    target: str

    def __post_init__(self) -> None:
        # Another user has to be able to run the interpreter, too.
        python = "/usr/bin/python3" if self.user and Path("/usr/bin/python3").exists() else sys.executable
        steps = ROOT / "tests" / "process" / "image_steps.sh"
        subprocess.run([steps, ROOT, self.folder], env=os.environ | {"PYTHON": python}, check=True)
        jobs = f"version: 1\njobs:\n  pay: {{schedule: {{every: 1s}}, http: '{self.target}/pay'}}\n"
        (self.folder / "etc" / "jobs.yaml").write_text(jobs)
        if self.user:
            os.chown(self.folder / "state", 10001, 10001)
            for parent in (self.folder, *self.folder.parents):
                if not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)

    @property
    def user(self) -> dict[str, Any]:
        return {"user": 10001, "group": 10001, "extra_groups": ()} if os.geteuid() == 0 else {}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run a command as the image would."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMINUS_CONFIG": f"{self.folder}/etc/jobs.yaml",
            "TMINUS_LEDGER": f"sqlite:///{self.folder}/state/ledger.db",
        }
        app = self.folder / "app"
        command = [f"{app}/.venv/bin/python", f"{app}/run_scheduler.py", *arguments]
        options: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            **self.user,
        }
        return subprocess.Popen(command, env=environment, cwd="/", **options)

    def run(self, *arguments: str) -> int:
        """Run a command to its end; returns its exit status."""
        with self.start(*arguments) as command:
            command.communicate(timeout=PATIENCE_S)
            return command.returncode


@pytest.mark.long
@pytest.mark.timeout(1800)  # it installs what the image has
def test_the_image_runs_jobs_as_somebody_else_on_files_that_it_cannot_write(
    tmp_path: Path, target: TargetServer
) -> None:
    container = Container(tmp_path, target.url)
    assert container.run("status", "-q") == 3
    with container.start("daemon") as running:
        try:
            target.wait_for(1)
            # 1 if a busy machine has made a run late, 3 if no daemon responds: the health check tells them apart.
            assert container.run("status", "-q") in {0, 1}
        finally:
            running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 0, said
    assert container.run("status", "-q") == 3
