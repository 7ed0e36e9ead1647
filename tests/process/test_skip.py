"""`skip`, as an operator types it."""

import getpass
import socket
from pathlib import Path

from tests.support.daemon import coming, daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer


def test_one_fire_time_is_skipped_and_the_others_run(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        at = coming(6).partition(".")[0].removesuffix("Z") + "Z"
        (one,) = running.json("skip", "tick", at)
        assert one["id"] == f"tick@{at}"
        assert at not in {later["fire_time"] for later in running.json("next", "-n", "200")}
        (skipped,) = running.wait_for(outcome="skipped", id=one["id"])
        assert skipped["reason"] == f"skipped by {getpass.getuser()}@{socket.gethostname()}"
        running.wait_for(outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


def test_a_time_that_is_no_fire_time_is_refused_with_the_nearest_ones(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(job("night", f"{target.url}/ok", "every: 1h"))) as running:
        said = running.tminus("skip", "night", "2099-11-20T11:31:00Z")
        assert (said.returncode, said.stderr) == (
            2,
            "error: night does not fire at 2099-11-20T11:31:00Z\n"
            "  hint: it fires at 2099-11-20T11:00:00Z and 2099-11-20T12:00:00Z\n",
        )
        said = running.tminus("skip", "nite", "2099-11-20T11:31:00Z")
        assert (said.returncode, "error: no job 'nite'; did you mean 'night'?" in said.stderr) == (4, True)
