"""
The jobs file is read again: on SIGHUP, or when it changes; all of it or nothing, and no batch is lost or
doubled.
"""

import json
import signal
from pathlib import Path

from tests.support.checker import gaps
from tests.support.daemon import coming, daemon, eventually, patched, tminus
from tests.support.jobs import job, jobs_file, many
from tests.support.target import TargetServer

IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))
#: Claimed long before T.
EARLY = "lead: 10s, reload: sighup"


def test_a_new_job_starts_and_a_removed_one_does_not(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        at = coming(8)
        kept = job("kept", f"{target.url}/ok", f"at: '{at}'")
        running.reload(jobs_file(kept + job("removed", f"{target.url}/ok", f"at: '{at}'")))
        running.reload(jobs_file(kept + job("new", f"{target.url}/ok", f"at: '{at}'")))
        running.wait_for(rows=2, state="finished")
        assert {one["job"]: one["outcome"] for one in running.occurrences()} == {
            "kept": "succeeded",
            "new": "succeeded",
        }
        running.assert_all_is_well(target)


def test_a_job_removed_after_its_claim_is_cancelled_and_the_rest_of_its_batch_starts(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        kept = many(5, f"{target.url}/ok", f"at: '{(at := coming(8))}'")
        running.reload(jobs_file(kept + job("removed", f"{target.url}/ok", f"at: '{at}'"), daemon=EARLY))
        running.wait_for(rows=6, state="claimed")
        running.reload(jobs_file(kept))
        running.wait_for(rows=5, outcome="succeeded")
        (removed,) = running.wait_for(job="removed", state="finished")
        assert (removed["outcome"], removed["reason"]) == (
            "cancelled",
            "the job was deleted from the jobs file",
        )
        running.assert_all_is_well(target)


def test_what_is_claimed_runs_by_the_definition_it_was_claimed_under(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        at = coming(8)
        running.reload(jobs_file(job("pay", f"{target.url}/old", f"at: '{at}'"), daemon=EARLY))
        (claimed,) = running.wait_for(state="claimed")
        running.reload(jobs_file(job("pay", f"{target.url}/new", f"at: '{at}'")))
        (ended,) = running.wait_for(state="finished")
        assert [arrival.path for arrival in target.arrivals] == ["/old"]
        assert ended["config_version"] == claimed["config_version"]
        running.assert_all_is_well(target)


def test_another_schedule_holds_from_the_reload_on(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "at: '2199-01-01T00:00:00Z'"))) as running:
        running.reload(jobs_file(job("pay", f"{target.url}/ok", "every: 1s")))
        running.wait_for(rows=2, outcome="succeeded")
        running.reload(jobs_file(job("pay", f"{target.url}/ok", "manual")))
        assert running.json("next") == []
        running.assert_all_is_well(target, every_s=1)


def test_reloads_in_the_middle_of_countdowns_lose_and_double_no_fire_time(
    tmp_path: Path, target: TargetServer
) -> None:
    ticks = many(20, f"{target.url}/ok", "every: 1s")
    with daemon(tmp_path, jobs_file(ticks)) as running:
        for number in range(5):
            target.wait_for(len(target.arrivals) + 7)
            running.reload(jobs_file(ticks + job(f"other_{number}", target.url, "manual")))
        target.wait_for(len(target.arrivals) + 20)
        running.assert_all_is_well(target, every_s=1)


def test_another_schedule_with_the_same_fire_times_neither_skips_nor_doubles_any(
    tmp_path: Path, target: TargetServer
) -> None:
    """
    Under a lead of 5 s each reload finds claimed occurrences of several T, which the new schedule has, too.
    """

    def ticks(number: int) -> str:
        return jobs_file(
            many(5, f"{target.url}/ok", ("every: 1s", "cron: '* * * * * *'")[number % 2]),
            daemon="lead: 5s, reload: sighup",
        )

    claimed: dict[str, str] = {}
    with daemon(tmp_path, IDLE) as running:
        running.reload(ticks(0))
        for number in range(1, 6):
            target.wait_for(len(target.arrivals) + 5)
            found = running.wait_for(rows=10, state="claimed")
            claimed |= {one["id"]: one["config_version"] for one in found if one["id"] not in claimed}
            running.reload(ticks(number))
        target.wait_for(len(target.arrivals) + 10)
        running.assert_all_is_well(target, every_s=1)
        rows = running.occurrences()
        assert len({one["config_version"] for one in rows}) == 2
        assert {one["id"]: one["config_version"] for one in rows if one["id"] in claimed} == claimed
        for one in rows:  # on a slow machine an occurrence may overlap the one before it, and never itself
            assert one["outcome"] == "succeeded" or (
                one["reason"].startswith("overlap: ") and f" {one['id']} " not in one["reason"]
            )


def test_a_reload_between_a_large_batch_and_the_small_one_before_it_loses_neither(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        large = many(600, f"{target.url}/ok", f"at: '{coming(5)[:19]}Z'")
        tick = job("tick", f"{target.url}/ok", "every: 1s")
        running.reload(jobs_file(large + tick, daemon="reload: sighup"))
        eventually(lambda: len(running.occurrences()) >= 600, what="the large batch is claimed")
        running.reload(jobs_file(large + tick + job("other", target.url, "manual"), daemon="reload: sighup"))
        running.wait_for(rows=601, outcome="succeeded")
        running.assert_all_is_well(target)
        assert gaps(running.occurrences("tick"), every_s=1) == []


def test_a_bad_file_keeps_the_old_one_running_and_says_why_and_where(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        running.write("version: 1\njobs:\n  tick: {schedule: {every: 5 parsecs}, http: ftp://x/}\n")
        running.signal(signal.SIGHUP)
        assert (
            running.wait_until_said("the jobs file is not valid, the old one stays in force")["errors"] == 2
        )
        first = running.wait_until_said("jobs file", times=2)
        assert [line["at"] for line in running.said("jobs file")] == [
            f"{running.jobs_file}:3:28",
            f"{running.jobs_file}:3:46",
        ]
        assert first["problem"]
        assert first["hint"]
        before = len(target.arrivals)
        target.wait_for(before + 2)
        (problem,) = eventually(
            lambda: [one for one in running.json("status")["problems"] if "not valid" in one]
        )
        assert f"{running.jobs_file}:3:28" in problem
        running.reload(jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
        eventually(lambda: not any("not valid" in one for one in running.json("status")["problems"]))
        running.assert_all_is_well(target, every_s=1)


def test_a_file_that_is_gone_keeps_the_old_one_running(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        running.jobs_file.unlink()
        running.signal(signal.SIGHUP)
        running.wait_until_said("the jobs file is not valid, the old one stays in force")
        before = len(target.arrivals)
        target.wait_for(before + 2)
        running.assert_all_is_well(target, every_s=1)


# --- when it changes ---


def test_a_change_takes_effect_without_a_signal(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("old", target.url, "manual"), daemon="reload: watch")) as running:
        for number in range(1, 4):
            running.write(
                jobs_file(job(f"new_{number}", f"{target.url}/ok", "every: 1s"), daemon="reload: watch")
            )
            running.wait_until_said("reloaded", times=number)
        running.wait_for(job="new_3", outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


def test_a_bad_change_is_said_and_so_is_that_it_was_taken_back(tmp_path: Path, target: TargetServer) -> None:
    good = jobs_file(job("tick", f"{target.url}/ok", "every: 1s"), daemon="reload: watch")
    with daemon(tmp_path, good) as running:
        running.write(good.replace("every", "evry"))
        running.wait_until_said("the jobs file is not valid, the old one stays in force")
        running.write(good)
        running.wait_until_said("the jobs file is valid again")
        assert running.said("reloaded") == []
        running.assert_all_is_well(target, every_s=1)


def test_a_change_of_an_included_file_takes_effect(tmp_path: Path, target: TargetServer) -> None:
    (tmp_path / "jobs.d").mkdir()
    included = tmp_path / "jobs.d" / "more.yaml"
    included.write_text(f"jobs:\n{job('more', target.url, 'manual')}")
    main = "include: [jobs.d/*.yaml]\n" + jobs_file(
        job("tick", f"{target.url}/ok", "every: 1s"), daemon="reload: watch"
    )
    with daemon(tmp_path, main) as running:
        included.write_text(f"jobs:\n{job('more', f'{target.url}/ok', 'every: 1s')}")
        running.wait_for(job="more", outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


def test_an_included_file_in_a_folder_that_was_renamed_takes_effect_again(
    tmp_path: Path, target: TargetServer
) -> None:
    def main(folder: str) -> str:
        return f"include: [{folder}/more.yaml]\n" + jobs_file("", daemon="reload: watch")

    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "more.yaml").write_text(f"jobs:\n{job('more', target.url, 'manual')}")
    with daemon(tmp_path, main("one")) as running:
        (tmp_path / "one").rename(tmp_path / "two")
        running.wait_until_said("the jobs file is not valid, the old one stays in force")
        running.write(main("two"))
        running.wait_until_said("the jobs file is valid again")
        (tmp_path / "two" / "more.yaml").write_text(f"jobs:\n{job('more', f'{target.url}/ok', 'every: 1s')}")
        running.wait_for(job="more", outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


def test_an_included_file_that_is_missing_takes_effect_once_it_is_there(
    tmp_path: Path, target: TargetServer
) -> None:
    main = jobs_file(job("tick", f"{target.url}/ok", "every: 1s"), daemon="reload: watch")
    with daemon(tmp_path, main) as running:
        running.write("include: [jobs.d/more.yaml]\n" + main)
        running.wait_until_said("the jobs file is not valid, the old one stays in force")
        (tmp_path / "jobs.d").mkdir()
        (tmp_path / "jobs.d" / "more.yaml").write_text(
            f"jobs:\n{job('more', f'{target.url}/ok', 'every: 1s')}"
        )
        running.wait_for(job="more", outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


_LATER = """
import os, sys
if "daemon" in sys.orig_argv:
    from tminus.daemon.service import Service
    start = Service.start
    def changes(self, fresh):
        start(self, fresh)
        os.rename({new!r}, {old!r})
    Service.start = changes
"""


def test_a_change_during_the_start_is_noticed(tmp_path: Path) -> None:
    watched = "lead: 2s, reload: watch"
    (tmp_path / "new").write_text(jobs_file(job("other", "http://127.0.0.1:1/", "manual"), daemon=watched))
    env = patched(tmp_path, _LATER.format(new=str(tmp_path / "new"), old=str(tmp_path / "jobs.yaml")))
    with daemon(
        tmp_path, jobs_file(job("idle", "http://127.0.0.1:1/", "manual"), daemon=watched), env=env
    ) as running:
        running.wait_until_said("reloaded")
        assert [one["job"] for one in running.json("jobs")] == ["other"]


def test_the_command_waits_until_the_file_is_in_force_and_names_what_changed(
    tmp_path: Path, target: TargetServer
) -> None:
    def file(path: str, *more: str) -> str:
        return jobs_file(job("pay", f"{target.url}{path}", "manual") + "".join(more))

    with daemon(tmp_path, file("/old", job("gone", f"{target.url}/ok", "manual"))) as running:
        before = running.said("ready")[0]["config_version"]
        running.write(file("/new", job("new", f"{target.url}/ok", "manual")))
        changes = {"added": ["new"], "removed": ["gone"], "changed": {"pay": ["http.url"]}}
        assert running.json("reload", "--plan") == {"config_version": before, **changes}
        assert running.said("reloaded") == []
        found = running.json("reload")
        assert found == {
            "config_version": running.wait_until_said("reloaded")["config_version"],
            "problem": None,
            "imported": [],
            **changes,
        }
        assert found["config_version"] != before
        assert running.tminus("run-now", "new").returncode == 0
        said = running.tminus("reload")
        assert (said.returncode, said.stdout.splitlines()[0]) == (0, "no job changes")


def test_the_command_asks_for_nothing_if_the_file_is_not_valid_or_no_daemon_runs(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.write("version: 1\njobs: {a: {}}\n")
        assert running.tminus("reload").returncode == 2
        running.write(IDLE)
        assert running.stop() == 0
        assert running.tminus("reload").returncode == 3


def test_commands_use_what_is_in_force_while_the_file_is_not_valid(
    tmp_path: Path, target: TargetServer
) -> None:
    lines = job("pay", f"{target.url}/ok", "manual") + job(
        "tick", f"{target.url}/ok", "at: 2100-01-01T00:00Z"
    )
    with daemon(tmp_path, jobs_file(lines)) as running:
        version = running.said("ready")[0]["config_version"]
        running.write("version: 1\njobs:\n  pay: {schedule: never, htp: /}\n")
        expected = (
            f"warning: the jobs file is not valid: {running.jobs_file}:3:19: jobs.pay.schedule: a "
            f"cron text has 5 fields, or 6 with seconds first; this one has 1 field; 1 more error\n  the configuration in force is used: {version}\n"
        )
        for command in ("jobs", "next", "show pay", "run-now pay"):
            done = running.tminus(*command.split(), "--json")
            assert (done.returncode, done.stderr[: len(expected)]) == (0, expected)
            assert json.loads(done.stdout), command
        assert [one["job"] for one in running.json("next")] == ["tick"]
        assert [one.path for one in target.arrivals] == ["/ok"]
        assert running.tminus("run-now", "gone").returncode == 4
        assert running.tminus("reload").returncode == 2
        running.write("version: 1\ntimezone: Europe/Berlin\njobs: [\n")
        assert [one["job"] for one in running.json("jobs")] == ["pay", "tick"]
        assert running.stop() == 0
        for command in ("jobs", "next", "show pay", "run-now pay"):
            done = running.tminus(*command.split())
            assert (done.returncode, done.stdout) == (2, "")
            assert f"{running.jobs_file} is not valid" in done.stderr
    assert [one.path for one in target.arrivals] == ["/ok"]


def test_a_file_that_is_no_yaml_leads_to_the_ledger_and_the_zone_of_its_daemon(tmp_path: Path) -> None:
    top = f"version: 1\ntimezone: Asia/Tokyo\nledger: sqlite:///{tmp_path}/own/ledger.db\n"
    jobs = "jobs:\n  tick: {schedule: '30 11 * * *', http: 'http://127.0.0.1:1/'}\n"
    with daemon(tmp_path, top + jobs, ledger=f"sqlite:///{tmp_path}/own/ledger.db") as running:
        running.write(f"{top}jobs: [\n")
        done = tminus("next", "-n", "1", "-c", str(running.jobs_file), env={"XDG_STATE_HOME": str(tmp_path)})
        assert "11:30:00 JST" in done.stdout
        done = tminus(
            *("run-now", "tick", "--at", "23:59", "--no-wait", "-c", str(running.jobs_file)),
            env={"XDG_STATE_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert running.occurrences("tick")[0]["planned_at"].endswith("T14:59:00Z")
