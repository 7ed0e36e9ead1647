"""
The fault matrix: for each fault and each phase of a batch, the tests that show what happens. Faults of several
machines are not here.

Phases: collect, claim, arm, hold, release, running, record. A phase that a fault cannot touch has no cell.
"""

from dataclasses import dataclass

PHASES = ("collect", "claim", "arm", "hold", "release", "running", "record")
_SWEEP = "faults/test_crash_points.py::test_killed_at_each_point_once_no_fire_time_is_lost_or_doubled"
_BROKEN = "faults/test_broken_disk.py"
_KILLED = "faults/test_killed_daemon.py"
_LOCKED = "faults/test_locked_ledger.py"
_SHUTDOWN = "process/test_shutdown.py"
_STEPS = "unit/daemon/test_planner_over_steps.py"
_HOLD = "unit/release/test_hold.py"
_EXECUTOR = "faults/test_killed_executor.py"
_SCRIPTED = "unit/daemon/scripted/test_countdown.py"
_PRIMING = "integration/executors/test_priming.py"
_SERVERS = "integration/executors/test_misbehaving_servers.py"
_SHARDS = "integration/executors/test_shards.py"
_RELOAD = "process/test_reload.py"
_STOPPED = "faults/test_claims_out_of_order.py::test_after_the_daemon_was_stopped_for_a_while"
_WHILE = f"{_BROKEN}::test_a_disk_that_takes_nothing_for_a_while_costs_only_what_was_due_meanwhile"
_SCARCE = "integration/executors/test_process.py"


@dataclass(frozen=True)
class Missing:
    """A cell without a test of its own, and why."""

    why: str


Cell = str | Missing
MATRIX: dict[str, dict[str, Cell]] = {
    "kill -9": {
        "collect": _SWEEP,
        "claim": _SWEEP,
        "arm": _SWEEP,
        "hold": f"{_KILLED}::test_what_was_claimed_and_not_released_runs_once_after_the_next_start",
        "release": f"{_KILLED}::test_what_was_released_and_not_answered_is_unknown_and_not_sent_again",
        "running": f"{_KILLED}::test_what_was_released_and_not_answered_is_unknown_and_not_sent_again",
        "record": f"{_KILLED}::test_outcomes_that_were_written_stay_and_the_others_are_unknown",
    },
    "power cut": {
        "record": "conformance/test_durability.py::test_sqlite_writes_to_the_disk_before_it_says_so",
        "claim": Missing("a disk that drops what was not synced is not simulated"),
    },
    "SIGTERM": {
        "collect": "unit/daemon/scripted/test_service.py::test_stopped_at_once_it_leaves_a_claim_to_the_next_start",
        "claim": f"{_LOCKED}::test_stopped_while_nothing_can_be_written_it_leaves_the_rest_to_the_next_start",
        "arm": f"{_SHUTDOWN}::test_a_batch_whose_T_lies_within_the_grace_is_still_let_go",
        "hold": f"{_SHUTDOWN}::test_a_batch_whose_T_lies_beyond_the_grace_stays_claimed_for_the_next_start",
        "release": f"{_SCRIPTED}::test_one_that_leaves_after_the_commit_is_awaited",
        "running": f"{_SHUTDOWN}::test_what_has_no_answer_when_the_grace_is_over_is_unknown",
        "record": "unit/daemon/test_recorder.py::test_what_was_put_before_the_end_is_written",
    },
    "stop past T": {
        "collect": _STOPPED,
        "claim": _STOPPED,
        "arm": f"{_EXECUTOR}::test_stopped_before_it_is_armed_it_is_replaced_and_the_batch_starts_late",
        "hold": f"{_EXECUTOR}::test_stopped_through_T_and_woken_after_the_grace_it_starts_nothing",
        "release": f"{_HOLD}::test_a_permit_after_t_lets_go_at_once_and_says_how_late_it_is",
        "running": f"{_SHARDS}::test_a_response_in_time_while_the_executor_is_stopped_is_not_late",
        "record": Missing("the recorder has no deadline"),
    },
    "clock forward": {
        "collect": f"{_STEPS}::test_after_a_step_forward_the_last_one_is_late_and_those_before_are_missed",
        "claim": Missing("a claim compares no time, except with the grace time"),
        "arm": f"{_SCRIPTED}::test_one_whose_grace_ends_before_it_is_armed_is_missed",
        "hold": f"{_HOLD}::test_a_step_of_the_wall_clock_never_lets_go_before_t",
        "running": f"{_SERVERS}::test_who_never_answers_has_lasted_as_long_as_it_was_waited_for",
    },
    "clock back": {
        "collect": f"{_STEPS}::test_after_a_step_back_no_fire_time_comes_again",
        "claim": "conformance/test_claims.py::test_an_occurrence_is_a_job_at_a_fire_time_and_a_run",
        "hold": f"{_HOLD}::test_a_step_back_moves_the_release_with_it",
        "release": f"{_SCRIPTED}::test_a_clock_set_back_after_t_does_not_send_anything_twice",
        "running": "faults/test_clock_set_back.py::test_what_has_started_never_starts_again_though_the_clock_is_set_back",
        "record": "conformance/test_outcomes.py::test_a_later_outcome_changes_nothing",
    },
    "database locked or slow": {
        "collect": f"{_LOCKED}::test_what_cannot_be_claimed_in_time_starts_late_once_it_can",
        "claim": f"{_LOCKED}::test_what_cannot_be_claimed_in_time_starts_late_once_it_can",
        "hold": f"{_LOCKED}::test_what_cannot_be_committed_within_its_grace_is_missed_and_not_sent",
        "running": f"{_LOCKED}::test_outcomes_that_come_meanwhile_are_written_afterwards",
        "record": f"{_LOCKED}::test_outcomes_that_a_locked_ledger_did_not_take_survive_kill_9",
    },
    "disk full, read-only or failing": {
        "collect": _WHILE,
        "claim": _WHILE,
        "arm": _WHILE,
        "hold": _WHILE,
        "running": _WHILE,
        "record": f"{_BROKEN}::test_outcomes_that_a_full_disk_did_not_take_survive_kill_9",
    },
    "database away": {
        "record": f"{_LOCKED}::test_outcomes_that_an_absent_postgresql_did_not_take_survive_kill_9",
    },
    "connection lost in a commit": {
        "claim": "conformance/test_claims.py::test_a_claim_that_is_tried_again_after_an_unclear_commit_is_still_ours",
        "hold": "conformance/test_claims.py::test_a_commit_that_is_tried_again_says_the_same",
        "record": "conformance/test_outcomes.py::test_an_outcome_that_is_written_again_after_an_unclear_commit_is_there_once",
    },
    "DNS dead or slow": {
        "arm": "integration/executors/test_dead_names.py::test_a_dead_name_keeps_no_other_request_from_being_primed",
        "hold": f"{_PRIMING}::test_every_method_leaves_on_its_primed_connection",
        "release": f"{_SERVERS}::test_a_name_that_does_not_exist_is_told_by_that_name",
    },
    "connection refused, TLS bad": {
        "arm": f"{_PRIMING}::test_a_server_that_closes_the_first_connections_is_primed_until_one_stands",
        "release": f"{_SERVERS}::test_nobody_at_the_port_is_told_by_the_systems_words",
        "running": "integration/executors/test_certificates.py::test_a_bad_certificate_holds_nobody_else_up",
    },
    "peer closes": {
        "hold": f"{_PRIMING}::test_a_connection_that_is_closed_while_there_is_time_is_primed_again",
        "release": f"{_PRIMING}::test_a_server_that_closes_what_was_primed_gets_the_request_on_a_fresh_connection",
        "running": "integration/executors/test_one_arrival.py::test_an_unsafe_request_whose_connection_dies_is_unknown",
    },
    "bytes before the request": {
        "hold": f"{_PRIMING}::test_a_server_that_speaks_first_gets_the_request_on_a_fresh_connection",
        "release": f"{_SERVERS}::test_a_408_that_answers_the_request_is_an_answer",
    },
    "peer silent, slow or endless": {
        "arm": f"{_SERVERS}::test_a_server_that_shakes_no_hands_ends_by_the_connect_timeout",
        "hold": f"{_SERVERS}::test_a_hold_does_not_count_against_the_timeouts",
        "release": f"{_SERVERS}::test_everyone_else_succeeds_and_starts_before_the_slow_ones_end",
        "running": f"{_SCARCE}::test_an_endless_answer_costs_no_more_than_what_is_kept_of_it",
    },
    "descriptors or threads exhausted": {
        "claim": "unit/daemon/test_planner.py::test_a_batch_that_cannot_begin_is_launched_again_and_holds_up_no_other",
        "arm": f"{_SCARCE}::test_if_descriptors_are_scarce_those_without_one_say_so_and_the_others_succeed",
        "release": f"{_SCARCE}::test_where_there_is_not_one_descriptor_all_say_so_and_the_process_lives_on",
        "collect": "process/test_daemon.py::test_a_daemon_for_which_there_are_not_enough_threads_says_so_and_ends",
    },
    "one thread raises or dies": {
        "collect": "unit/daemon/test_planner.py::test_a_loop_that_breaks_starts_again_and_is_not_well_meanwhile",
        "claim": "faults/test_one_job_breaks.py::test_a_job_that_breaks_in_any_step_costs_itself_alone",
        "arm": "unit/release/test_shard.py::test_a_party_that_breaks_breaks_alone",
        "hold": "unit/release/test_shard.py::test_a_hold_that_breaks_is_the_reason_why_no_party_starts",
        "release": "integration/executors/test_one_request_breaks.py::test_an_error_costs_one_request_only",
        "running": f"{_SCRIPTED}::test_an_error_of_its_own_gives_each_occurrence_an_outcome",
        "record": "unit/daemon/test_recorder.py::test_an_outcome_that_no_database_takes_costs_itself_alone",
    },
    "reload or deletion": {
        "collect": f"{_RELOAD}::test_reloads_in_the_middle_of_countdowns_lose_and_double_no_fire_time",
        "claim": f"{_RELOAD}::test_what_is_claimed_runs_by_the_definition_it_was_claimed_under",
        "arm": f"{_RELOAD}::test_what_is_claimed_runs_by_the_definition_it_was_claimed_under",
        "hold": f"{_RELOAD}::test_a_job_removed_after_its_claim_is_cancelled_and_the_rest_of_its_batch_starts",
        "running": "faults/test_killed_chains.py::test_a_reload_in_the_middle_of_a_chain_changes_nothing_about_it",
    },
    "target overloaded by holds": {
        "arm": f"{_SHARDS}::test_no_more_connections_stand_at_once_than_are_allowed",
        "hold": f"{_SHARDS}::test_who_waits_for_a_connection_longer_than_its_grace_goes_home",
        "running": f"{_SCARCE}::test_a_slow_answer_takes_no_connections_from_later_shards",
    },
}
