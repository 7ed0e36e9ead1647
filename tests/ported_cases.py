"""
Cases of Flask-Executor and Flask-APScheduler: those of their test suites, and others that their users rely on. Each
one has the tests of tminus that show it. If tminus differs, it has the reason.
"""

from dataclasses import dataclass

_RUNS = "process/test_ported_runs.py"
_JOBS = "process/test_ported_jobs.py"
_BACKGROUND = "process/test_background.py"
_TYPES = "unit/flask/test_background_types.py"
_CALLS = "integration/runner/test_calls.py"
_OWN_NAMES = "process/test_own_names.py"
_PAUSE = "process/test_pause.py"
_RELOAD = "process/test_reload.py"
_CODE_JOBS = "process/test_code_jobs.py"


@dataclass(frozen=True)
class Case:
    """
    A case of another library.

    Attributes:
        tests: `file::test`, below tests/.
        differs: What tminus does instead, and why; empty if it does the same.
    """

    tests: tuple[str, ...] = ()
    differs: str = ""


def _same(*tests: str) -> Case:
    return Case(tests)


def _differs(why: str, *tests: str) -> Case:
    return Case(tests, why)


FLASK_EXECUTOR = {
    "an extension made with the application": _same(
        "unit/executors/test_registry.py::test_the_extension_is_where_flask_has_its_extensions"
    ),
    "an extension that gets its application later, and functions decorated before": _same(
        "process/test_inline_app.py::test_what_it_submits_runs_from_a_web_worker_and_from_a_job"
    ),
    "a second extension with a name of its own": _differs(
        "a second one has another blueprint name, and the same runner: there are no queues with names",
        f"{_OWN_NAMES}::test_an_application_keeps_its_own_modules_and_blueprints",
        f"{_OWN_NAMES}::test_a_blueprint_that_is_there_is_named_with_the_way_out",
    ),
    "an invalid name of an extension": _differs("the name is that of a blueprint, and Flask checks it"),
    "threads or processes, and an invalid type": _differs(
        "a background run is a thread of the runner; of jobs, `isolate: process` makes a process"
    ),
    "the number of workers": _same(f"{_BACKGROUND}::test_no_more_run_at_once_than_the_application_may_have"),
    "numbers written as text in the configuration": _differs(
        "the limits are in the jobs file, which has types: a text is an error with its place"
    ),
    "a call with arguments, by position and by keyword": _same(
        f"{_RUNS}::test_a_submitted_call_returns_what_a_direct_call_returns"
    ),
    "a direct call of a decorated function": _same(
        f"{_TYPES}::test_calling_it_is_what_it_was",
        f"{_RUNS}::test_a_background_function_calls_itself_directly_within_its_run",
    ),
    "a function of another module": _same(
        f"{_RUNS}::test_a_function_of_another_module_is_submitted_if_the_code_declares_it"
    ),
    "a function that is not decorated": _differs(
        "the runner calls only functions that its code declares, because a forged row could name any function",
        f"{_RUNS}::test_a_function_that_only_a_web_worker_declares_is_never_called",
    ),
    "a function that another process cannot find": _same(
        f"{_RUNS}::test_a_function_without_a_name_in_a_module_is_refused_at_once"
    ),
    "arguments that the function does not take": _same(
        f"{_TYPES}::test_arguments_that_it_does_not_take_are_refused_at_once"
    ),
    "any object as argument and as result": _differs(
        "JSON only: values cross processes, and are stored",
        f"{_RUNS}::test_arguments_and_results_come_as_json_has_them",
        f"{_BACKGROUND}::test_what_cannot_be_handed_over_is_a_type_error_at_once",
        f"{_CALLS}::test_how_a_function_may_end_badly[not_json]",
    ),
    "a call from within another one": _same(f"{_BACKGROUND}::test_a_job_hands_work_over_as_a_view_does"),
    "a call outside of every request": _same(
        f"{_BACKGROUND}::test_outside_of_a_request_it_runs_without_a_copy_of_one"
    ),
    "the application context": _differs(
        "the configuration is that of the runner's own import, without what a web worker has changed since",
        f"{_RUNS}::test_a_value_set_in_the_web_workers_configuration_is_not_in_the_runners",
    ),
    "the request context and the session": _differs(
        "a copy: the request is usually over before the function starts, and the run survives restarts",
        f"{_BACKGROUND}::test_it_runs_with_a_copy_of_the_request_that_handed_it_over",
    ),
    "attributes put on the request, and `g`": _differs(
        "they can be any objects, which the ledger cannot store; pass values as arguments",
        f"{_RUNS}::test_attributes_of_g_and_of_the_request_are_not_copied",
        f"{_CALLS}::test_g_and_session_do_not_leak_from_one_job_into_another",
    ),
    "the teardown after each call": _same(
        f"{_RUNS}::test_the_application_tears_the_context_of_each_run_down"
    ),
    "the connection to the database goes back to its pool": _same(
        "integration/runner/test_databases.py::test_a_hundred_jobs_on_sqlite_have_a_connection_each_and_none_is_left_over"
    ),
    "a call for each item": _same(
        f"{_BACKGROUND}::test_many_calls_are_submitted_at_once_from_a_view_and_from_a_job"
    ),
    "a call for each item, with the contexts of the view": _same(
        f"{_RUNS}::test_each_call_of_map_has_a_copy_of_the_request_and_a_g_of_its_own"
    ),
    "the result": _same(f"{_RUNS}::test_a_submitted_call_returns_what_a_direct_call_returns"),
    "the exception of a function is raised again": _differs(
        "a Failure with the name and the text of the exception: exceptions do not cross processes",
        f"{_BACKGROUND}::test_waiting_for_a_run_raises_what_its_function_raised",
    ),
    "an exception that nobody waits for": _same(
        f"{_BACKGROUND}::test_the_log_of_one_that_fails_has_its_own_frames_and_no_jobs_file",
        "unit/flask/test_in_process.py::test_the_application_is_told_of_the_error_of_a_run",
    ),
    "a result that is not available in time": _same(
        f"{_RUNS}::test_runs_end_in_any_order_and_each_is_waited_for_alone"
    ),
    "whether a call runs, has ended, or was cancelled": _same(
        f"{_RUNS}::test_a_handle_tells_whether_its_run_is_queued_running_or_has_ended"
    ),
    "waiting for several calls": _same(f"{_RUNS}::test_runs_end_in_any_order_and_each_is_waited_for_alone"),
    "the handle as a Future": _differs(
        "the handle contains only ids, so that every process can find the run",
        f"{_BACKGROUND}::test_a_run_is_found_by_its_id_and_knows_it",
    ),
    "a callback that submits a call": _differs(
        "callbacks belong to the function and are stored with the run; a handle takes none later",
        f"{_RUNS}::test_a_callback_gets_the_result_and_can_submit_a_call",
    ),
    "a callback that raises": _same(
        "process/test_chains.py::test_the_outcome_stays_what_the_run_did_whatever_its_chain_does"
    ),
    "the same callback for all functions": _same(
        f"{_RUNS}::test_one_decorator_gives_all_functions_the_same_callback"
    ),
    "a call stored under a key": _same(
        f"{_BACKGROUND}::test_a_second_submit_with_the_same_id_returns_the_first_run",
        f"{_RUNS}::test_the_result_of_a_run_stays_for_everybody_who_knows_its_id",
    ),
    "a key that exists already": _differs(
        "the first run is returned, so that a request that is sent twice submits once",
        f"{_BACKGROUND}::test_a_second_submit_with_the_same_id_returns_the_first_run",
    ),
    "a key that does not exist": _differs(
        "an error: a misspelt id must not look like a run that has not started",
        f"{_BACKGROUND}::test_a_run_is_found_by_its_id_and_knows_it",
    ),
    "the removal of a key": _differs(
        "runs stay for everybody until the history deletes them",
        f"{_RUNS}::test_the_result_of_a_run_stays_for_everybody_who_knows_its_id",
    ),
    "a limit for the results that are kept": _same(
        "conformance/test_upkeep.py::test_only_the_newest_of_each_job_stay_if_their_number_is_limited"
    ),
    "cancel a queued call": _same(
        f"{_BACKGROUND}::test_it_may_be_put_off",
        f"{_RUNS}::test_a_run_cancelled_before_its_start_has_no_result_and_calls_no_callback",
    ),
    "cancel a call that runs, and one that has ended": _same(
        f"{_BACKGROUND}::test_a_cancelled_run_is_asked_to_stop_and_its_errback_is_called"
    ),
    "shutdown": _differs(
        "a web worker has nothing to shut down; the daemon finishes its runs, and starts the rest after its next start",
        "process/test_shutdown.py::test_what_runs_may_finish_within_the_shutdown_grace",
        f"{_BACKGROUND}::test_it_is_durable_before_submit_returns_and_waits_for_a_daemon",
    ),
}

FLASK_APSCHEDULER = {
    "run a job": _same(
        f"{_JOBS}::test_a_run_by_hand_gets_the_jobs_arguments_and_leaves_its_next_fire_time",
        f"{_JOBS}::test_each_run_by_hand_is_an_occurrence_of_its_own",
        f"{_JOBS}::test_a_paused_job_still_runs_by_hand_and_stays_paused",
    ),
    "run a job that fails": _same(
        f"{_JOBS}::test_a_run_by_hand_that_fails_is_an_outcome_and_no_error_of_its_caller"
    ),
    "pause a job and resume it": _same(
        f"{_JOBS}::test_a_job_that_the_application_pauses_is_skipped_until_it_is_resumed",
        f"{_JOBS}::test_a_paused_job_has_no_next_fire_time_until_it_is_resumed",
        f"{_JOBS}::test_a_pause_of_one_job_pauses_no_other",
        f"{_JOBS}::test_a_pause_with_an_end_ends_by_itself",
        f"{_JOBS}::test_an_end_of_a_pause_that_is_past_is_refused",
    ),
    "pause a paused job": _same(f"{_JOBS}::test_a_second_pause_replaces_the_first_and_one_resume_ends_both"),
    "resume a job that is not paused": _same(
        f"{_JOBS}::test_a_job_that_is_not_paused_can_be_resumed_and_stays_as_it_is"
    ),
    "run, pause and resume a job that does not exist": _same(
        f"{_JOBS}::test_an_unknown_job_is_an_error_of_each_operation"
    ),
    "run, pause and resume from the command line": _same(
        "process/test_run_now.py::test_several_jobs_start_as_one_batch_and_are_waited_for",
        f"{_PAUSE}::test_a_paused_job_skips_its_fire_times_until_it_is_resumed",
        f"{_JOBS}::test_the_command_resumes_what_the_application_pauses_and_the_other_way_round",
    ),
    "run, pause and resume from a job": _same(f"{_BACKGROUND}::test_a_job_runs_and_pauses_another_one"),
    "pause and resume the whole scheduler": _differs(
        "`tminus pause --all`, or one job after another from code",
        f"{_PAUSE}::test_many_jobs_are_paused_with_yes_until_a_time",
    ),
    "the list of all jobs, and one of them": _differs(
        "`tminus jobs --json` and `tminus show --json`: the daemon knows the jobs, web workers do not",
        f"{_CODE_JOBS}::test_jobs_shows_those_of_the_file_then_those_of_the_code_with_their_places",
        f"{_CODE_JOBS}::test_show_and_validate_know_them",
    ),
    "jobs in the configuration": _differs(
        "in the jobs file", "unit/jobsfile/test_good_files.py::test_the_smallest_file"
    ),
    "a job defined by a decorator": _same(
        f"{_CODE_JOBS}::test_a_job_in_code_can_be_run_as_soon_as_the_first_daemon_is_ready"
    ),
    "two jobs with one id": _same(
        "unit/jobsfile/test_code_jobs.py::test_a_name_that_the_file_has_too_names_both_places"
    ),
    "a job that is not valid": _same("unit/jobsfile/test_broken_files.py::test_says_exactly_what_is_wrong"),
    "add a job at run time": _differs(
        "jobs are in the file or in the code; `submit(at=…)` is one call later",
        f"{_JOBS}::test_a_job_that_a_web_worker_defines_at_run_time_is_none",
        f"{_BACKGROUND}::test_it_may_be_put_off",
    ),
    "change and remove a job at run time": _differs(
        "a change of the file or of the code, and a reload",
        f"{_RELOAD}::test_another_schedule_holds_from_the_reload_on",
        f"{_RELOAD}::test_a_new_job_starts_and_a_removed_one_does_not",
    ),
    "start and stop the scheduler": _differs(
        "the daemon is a process of its own, which an operator or systemd starts and stops",
        "process/test_shutdown.py::test_what_runs_may_finish_within_the_shutdown_grace",
    ),
    "the scheduler of APScheduler": _differs("it runs in the daemon, and applications cannot reach it"),
    "whether the scheduler runs": _same(
        "process/test_cli.py::test_status_tells_running_from_stopped_by_its_exit_status"
    ),
    "the hosts that may schedule": _differs(
        "the ledger belongs to one daemon; others are refused",
        "process/test_second_daemon.py::test_a_second_daemon_is_refused_and_told_who_has_the_ledger",
    ),
    "listeners": _differs(
        "`notify` for people, `then` for code",
        "process/test_notifications.py::test_the_failures_of_a_batch_are_one_message_and_recoveries_another",
        "process/test_chains.py::test_an_errback_gets_the_failure_of_every_kind_of_run",
    ),
    "jobs over HTTP, with a prefix and a login": _differs(
        "a view of the application's own, behind its own login",
        f"{_JOBS}::test_a_view_of_ones_own_runs_pauses_and_resumes_jobs",
    ),
}
