"""
Bad inputs: for each, the tests that show what tminus says of it, and that it goes on.

The numbers are those of the project's plan: C01 to C39 are jobs files, C55 to C61 the command line and the
ledger, C62 to C72 peers. C40 to C54 belong to an API that there is not yet.
"""

from dataclasses import dataclass
from pathlib import Path

_BROKEN = "unit/jobsfile/test_broken_files.py::test_says_exactly_what_is_wrong"
_UNREADABLE = "unit/jobsfile/test_unreadable_files.py"
_GOOD = "unit/jobsfile/test_good_files.py"
_CLI = "process/test_cli.py"
_LEDGERS = "process/test_unusable_ledgers.py::test_a_ledger_that_cannot_be_used_is_refused_in_words"
_SERVERS = "integration/executors/test_misbehaving_servers.py"
_SERVER = f"{_SERVERS}::test_a_server_that"
_TLS = "integration/executors/test_certificates.py"
_BLOCKED = "integration/executors/test_blocked_addresses.py"


@dataclass(frozen=True)
class NotApplicable:
    """An input that this version does not have, and why."""

    why: str


def _broken(name: str) -> tuple[str, ...]:
    """Return the test of each broken file whose name begins so."""
    files = (Path(__file__).parent / "unit" / "jobsfile" / "broken").glob(f"{name}*.expected")
    return tuple(f"{_BROKEN}[{file.stem}]" for file in sorted(files))


BAD_INPUTS: dict[str, tuple[str, ...] | NotApplicable] = {
    # YAML
    "C01 empty file": _broken("c01-"),
    "C02 tab": _broken("c02-"),
    "C03 words and numbers of YAML 1.1": (
        *_broken("c03-"),
        f"{_GOOD}::test_words_are_read_as_in_yaml_1_2",
    ),
    "C04 hour 25": _broken("c04-"),
    "C05 cron text without quotes": _broken("c05-"),
    "C06 minute 61": _broken("c06-"),
    "C07 cron that never fires": _broken("c07-"),
    "C08 seven fields": _broken("c08-"),
    "C09 zone without its area": _broken("c09-"),
    "C10 zone that is none": _broken("c10-"),
    "C11 duplicate key": _broken("c11-"),
    "C12 job in two files": _broken("c12-"),
    "C13 unknown key": _broken("c13-"),
    "C14 tags": _broken("c14-"),
    "C15 many aliases": _broken("c15-"),
    "C16 deep nesting": _broken("c16-"),
    "C17 huge file": (
        f"{_UNREADABLE}::test_a_file_over_16_mib_is_too_large",
        f"{_UNREADABLE}::test_a_file_of_16_mib_is_not",
        f"{_GOOD}::test_ten_thousand_jobs_are_loaded",
    ),
    "C18 two documents": _broken("c18-"),
    "C19 not UTF-8": (
        *_broken("c19-"),
        f"{_GOOD}::test_a_byte_order_mark_and_other_line_ends_are_accepted",
    ),
    "C20 timeout out of its bounds": _broken("c20-"),
    "C21 wrong type": (*_broken("retry"), *_broken("c21-")),
    "C22 job id": _broken("c22-"),
    "C23 other schemes": _broken("c23-"),
    "C24 illegal URL": _broken("c24-"),
    "C25 port": _broken("c25-"),
    "C26 blocked address": (
        *_broken("c26-"),
        f"{_BLOCKED}::test_a_blocked_address_gets_nothing",
        f"{_BLOCKED}::test_another_way_to_write_it_does_not_help",
        f"{_BLOCKED}::test_a_redirect_to_a_blocked_address_is_not_followed",
    ),
    "C27 headers": _broken("c27-"),
    "C28 two bodies, or a body with GET": _broken("c28-"),
    "C29 no module:function": _broken("flask-and-call"),
    "C30 function that cannot be called": (
        "process/test_python_jobs.py::test_validate_asks_the_application",
        "integration/runner/test_calls.py::test_what_cannot_be_called_fails_before_it_starts_and_says_why",
        "unit/executors/test_check.py::test_code_that_raises_while_it_is_checked_costs_its_own_job_only",
    ),
    "C31 missing secret": _broken("c31-"),
    "C32 secret file that others can read": (
        f"{_UNREADABLE}::test_a_secret_file_that_others_can_read_is_refused",
    ),
    "C33 jitter where jobs start together": NotApplicable(
        "there are no groups yet, and no `start: together`"
    ),
    "C34 long lead": _broken("c34-"),
    # Nothing warns of it at the start: `doctor` names how many connections fit.
    "C35 batch over the limit of descriptors": (
        "integration/executors/test_shards.py::test_no_more_connections_stand_at_once_than_are_allowed",
        "integration/executors/test_process.py::test_shards_that_overlap_share_the_descriptors",
    ),
    "C36 at in a gap": _broken("c36-"),
    "C37 reversed range, past instant": _broken("c37-"),
    "C38 file that is none": (
        f"{_UNREADABLE}::test_a_jobs_file_that_is_no_file",
        f"{_UNREADABLE}::test_an_included_file_that_is_no_file",
        f"{_UNREADABLE}::test_a_fifo_as_a_secret_does_not_block",
        *_broken("c38-"),
    ),
    "C39 include cycle, or outside": _broken("c39-"),
    # command line and ledger
    "C55 no daemon": (
        f"{_CLI}::test_a_command_that_needs_the_daemon_says_that_there_is_none",
        "process/test_unusable_ledgers.py::test_without_a_ledger_there_is_no_daemon_and_nothing_to_read",
    ),
    "C56 second daemon": (
        "process/test_second_daemon.py::test_a_second_daemon_is_refused_and_told_who_has_the_ledger",
    ),
    "C57 newer ledger": (
        f"{_LEDGERS}[newer]",
        "conformance/test_opening.py::test_a_newer_ledger_is_refused_and_left_alone",
    ),
    "C58 ledger that is none": (
        f"{_LEDGERS}[foreign]",
        f"{_LEDGERS}[text]",
        f"{_LEDGERS}[short]",
        "conformance/test_opening.py::test_a_database_of_another_program_is_refused",
    ),
    "C59 wrong usage": (
        f"{_CLI}::test_what_is_wrong_is_said_without_a_traceback",
        "process/test_streams.py::test_arguments_that_nobody_means_are_wrong_usage",
        "unit/operations/test_times.py::test_what_is_no_time_is_refused_with_examples",
    ),
    "C60 closed pipe, plain locale": (
        f"{_CLI}::test_a_reader_that_has_seen_enough_is_no_error",
        f"{_CLI}::test_a_locale_without_unicode_gets_ascii",
        "process/test_streams.py::test_a_reader_that_has_gone_changes_no_exit_status",
        "unit/cli/test_output.py::test_nothing_in_a_pipe_has_colour",
    ),
    "C61 ledger of somebody else": (
        "unit/ledger/test_ledger_group.py::test_a_stranger_is_told_whose_it_is",
        "unit/ledger/test_ledger_group.py::test_without_a_group_a_member_is_a_stranger",
    ),
    # peers
    "C62 what is not HTTP": (
        f"{_SERVER}[talks-bytes]",
        f"{_SERVER}[talks-ssh]",
        f"{_SERVER}[talks-http-9]",
        f"{_SERVER}[has-huge-headers]",
        f"{_SERVER}[has-a-huge-header]",
    ),
    "C63 wrong length, broken chunk": (
        f"{_SERVER}[closes-in-the-body]",
        f"{_SERVER}[closes-between-two-chunks]",
        f"{_SERVER}[breaks-its-chunks]",
        f"{_SERVER}[lies-about-a-chunk]",
        f"{_SERVER}[has-a-negative-length]",
    ),
    "C64 gzip bomb": (
        f"{_SERVERS}::test_a_body_that_is_packed_is_kept_as_it_came",
        f"{_SERVER}[never-ends]",
    ),
    "C65 a byte per second": (f"{_SERVER}[trickles]",),
    "C66 redirect": (
        f"{_SERVERS}::test_a_redirect_that_the_job_does_not_follow_is_the_answer",
        f"{_SERVERS}::test_a_redirect_loop_ends_after_as_many_requests_as_the_job_follows",
        f"{_SERVER}[redirects-to-a-file]",
    ),
    "C67 certificates": (
        f"{_TLS}::test_a_certificate_that_has_expired",
        f"{_TLS}::test_a_certificate_of_an_unknown_authority",
        f"{_TLS}::test_a_certificate_of_another_host",
        f"{_TLS}::test_a_tls_version_that_is_too_old",
    ),
    "C68 bytes before the request": (
        "integration/executors/test_priming.py::test_a_server_that_speaks_first_gets_the_request_on_a_fresh_connection",
        f"{_SERVERS}::test_a_408_that_answers_the_request_is_an_answer",
    ),
    "C69 informational answers": (
        f"{_SERVERS}::test_informational_answers_are_passed_over",
        f"{_SERVERS}::test_informational_answers_without_end_are_given_up",
    ),
    "C70 escapes and odd bytes": (
        f"{_SERVERS}::test_odd_bytes_in_a_head_are_passed_on",
        "unit/cli/test_output.py::test_nothing_that_is_printed_commands_the_terminal",
    ),
    "C71 cookies, HSTS": (f"{_SERVERS}::test_what_a_server_asks_to_remember_is_forgotten",),
    "C72 long Retry-After": (
        "unit/policies/test_retry.py::test_retry_after_is_respected_up_to_the_longest_wait",
    ),
}
