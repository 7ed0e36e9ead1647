"""
The tables. A promise about data is a constraint.

The migrations create the tables. Only they have the conditions of the partial indexes: here, a condition
would import the dialects of all databases.

Times are nanoseconds since the Unix epoch, wall clock; durations nanoseconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

#: A hundred rows per second fill 32 bits in eight months. SQLite counts up only if the type is INTEGER, which
#: has 64 bits there.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

#: The newest migration. An older ledger is migrated, a newer one refused.
SCHEMA = "0012"

#: The processes that have run jobs: daemons, and `run-now` without a daemon. `decided_until_ns` is the
#: high-water mark of a daemon: each fire time of each schedule up to here has a row. It concerns the
#: schedules that the ledger had when it was set. `arming_costs` is a `policies.lead.ArmingCosts`, as JSON.
instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("config_version", Text),
    Column("config_error", Text),
    Column("started_ns", BigInteger, nullable=False),
    Column("beat_ns", BigInteger, nullable=False),
    Column("decided_until_ns", BigInteger),
    Column("stopped_ns", BigInteger),
    Column("arming_costs", Text),
)

#: The text of each version of the jobs, `${…}` unexpanded.
configs = Table(
    "configs",
    metadata,
    Column("version", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_seen_ns", BigInteger, nullable=False),
    Column("last_seen_ns", BigInteger, nullable=False),
)

#: The schedules of the jobs: a job is accountable for the fire times from when a daemon first saw the
#: schedule until it was gone. Each fire time up to `decided_until_ns` has a row; a later one may have one.
#: `schedule` is a canonical text; empty if unknown. The rows of fire times up to `deleted_until_ns` may have
#: been deleted.
schedules = Table(
    "schedules",
    metadata,
    Column("job", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger),
    Column("decided_until_ns", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("deleted_until_ns", BigInteger),
    PrimaryKeyConstraint("job", "since_ns"),
)

#: One row per claim of a batch, and per start of background runs. Once `releasing_ns` is set, before T, its
#: occurrences may have been sent. If a claim's transaction raised at its end, the claim finds its own row by
#: `token`.
releases = Table(
    "releases",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("instance", Text, ForeignKey("instances.id"), nullable=False),
    Column("releasing_ns", BigInteger),
    Column("token", Text),
    sqlite_autoincrement=True,
)
Index("releases_by_token", releases.c.token, unique=True)

#: `buffered_ns` says since when an occurrence waits, or had to wait, until its job has room.
#: `cause` is the id of the occurrence whose chain has started it.
#: `chain_failure` says whether a failure flowed out of its chain; null until the chain has ended.
#: `resolved` says what an operator has found out about one that is unknown or missed.
#: `next_attempt_ns` is the due time of the attempt that follows a failed one; null once that is committed.
occurrences = Table(
    "occurrences",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("fire_time_ns", BigInteger, nullable=False),
    Column("run", Integer, nullable=False),
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("config_version", Text, nullable=False),
    Column("retry_of", Text),
    Column("count", Integer, nullable=False, default=1),
    Column("covers_until_ns", BigInteger),
    Column("release", _NUMBER, ForeignKey("releases.number")),
    Column("request", Text, ForeignKey("requests.id")),
    Column("outcome", Text),
    Column("reason", Text),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger),
    Column("duration_ns", BigInteger),
    Column("armed", Boolean),
    Column("attempts", Integer, nullable=False, default=0),
    Column("http_status", Integer),
    Column("executor", Text),
    Column("buffered_ns", BigInteger),
    Column("next_attempt_ns", BigInteger),
    Column("resolved", Text),
    Column("resolved_by", Text),
    Column("resolved_ns", BigInteger),
    Column("cause", Text),
    Column("chain_failure", Boolean),
    UniqueConstraint("job", "fire_time_ns", "run", name="one_owner_per_occurrence"),
)
Index("occurrences_by_batch", occurrences.c.planned_at_ns)
Index("occurrences_by_release", occurrences.c.release)
Index("occurrences_by_job", occurrences.c.job, occurrences.c.planned_at_ns)
# Partial indexes: the conditions are in their migrations.
Index("occurrences_by_request", occurrences.c.request)
Index("occurrences_without_outcome", occurrences.c.state)
Index("occurrences_not_succeeded", occurrences.c.outcome, occurrences.c.planned_at_ns)
#: A row with a count stands for all fire times from its own up to `covers_until_ns`. No other row is in the
#: index.
Index("occurrences_with_count", occurrences.c.covers_until_ns)

attempts = Table(
    "attempts",
    metadata,
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger, nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("armed", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("http_status", Integer),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_size", BigInteger, nullable=False),
    Column("output", LargeBinary),
    Column("request", Text),
    Column("phases", Text),
    PrimaryKeyConstraint("occurrence", "attempt"),
)

#: The links of the chains.
links = Table(
    "links",
    metadata,
    Column("occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("link", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("started_at_ns", BigInteger),
    Column("finished_at_ns", BigInteger),
    Column("output", LargeBinary),
    PrimaryKeyConstraint("occurrence", "position"),
)

#: The chains that have not ended: what flows into the next link, as JSON.
chains = Table(
    "chains",
    metadata,
    Column(
        "occurrence",
        _NUMBER,
        ForeignKey("occurrences.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("failure", Boolean, nullable=False),
    Column("value", Text, nullable=False),
)

#: Background runs: one row per occurrence with origin `background`. `given` has the arguments and the copy of
#: a request. It is deleted when the run ends.
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "occurrence", _NUMBER, ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False, unique=True
    ),
    Column("app", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("given", Text),
    Column("progress", Float),
    Column("progress_text", Text),
    Column("result", Text),
)

#: The applications whose background runs a daemon takes.
apps = Table("apps", metadata, Column("name", Text, primary_key=True))

#: The shared state of the applications, as JSON with sorted keys. A name whose value is None has no row.
state = Table(
    "state",
    metadata,
    Column("app", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("app", "name"),
)

#: Requests to the daemon. The process that wrote one may withdraw it until a daemon has taken it. `by` says
#: who asked, `user@host`.
requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("taken_by", Text, ForeignKey("instances.id")),
    Column("answer", Text),
    Column("withdrawn_ns", BigInteger),
    Column("by", Text),
)
Index("requests_not_taken", requests.c.created_ns)  # partial: the condition is in its migration

#: Pauses and suspensions of jobs, each until `ended_ns`, or `until_ns` at the latest.
pauses = Table(
    "pauses",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger),
    Column("ended_ns", BigInteger),
    Column("kind", Text, nullable=False),
    Column("reason", Text),
    Column("by", Text, nullable=False),
    Column("ended_by", Text),
)

#: The failures in a row of jobs with `pause_on_failure`; a job without failures has no row.
failure_counts = Table(
    "failure_counts",
    metadata,
    Column("job", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
)

#: Fire times that are skipped one by one.
skips = Table(
    "skips",
    metadata,
    Column("job", Text, nullable=False),
    Column("fire_time_ns", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    PrimaryKeyConstraint("job", "fire_time_ns"),
)

#: Occurrences that have ended, and about which notifications are not decided yet.
notices = Table(
    "notices",
    metadata,
    Column(
        "occurrence",
        _NUMBER,
        ForeignKey("occurrences.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
)

#: Late finishes: occurrences that had not finished by their `finish_by`, and whether notifications about them
#: are decided.
late_finishes = Table(
    "overdue",
    metadata,
    Column(
        "occurrence",
        _NUMBER,
        ForeignKey("occurrences.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("finish_by_ns", BigInteger, nullable=False),
    Column("is_decided", Boolean, nullable=False),
)
Index("overdue_not_decided", late_finishes.c.occurrence)  # partial: the condition is in its migration

#: What each channel knows of the jobs that have failed, see `policies.notify.Alert`.
alerts = Table(
    "alerts",
    metadata,
    Column("channel", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("untold", BigInteger, nullable=False),
    Column("told_at_ns", BigInteger),
    Column("is_failing", Boolean, nullable=False),
    Column("is_told", Boolean, nullable=False),
    Column("last", Text, nullable=False),
    PrimaryKeyConstraint("channel", "job"),
)

#: Messages and pings. One without `sent_ns` and `given_up_ns` is still to be delivered.
notifications = Table(
    "notifications",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_ns", BigInteger, nullable=False),
    Column("error", Text),
    Column("sent_ns", BigInteger),
    Column("given_up_ns", BigInteger),
    UniqueConstraint("channel", "kind", "about", name="one_notification_per_subject"),
)
Index("notifications_to_deliver", notifications.c.next_try_ns)  # partial: the condition is in its migration
