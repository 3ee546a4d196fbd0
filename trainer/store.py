"""What people judged, which versions there are, and who may sign in: tables of SQLite by default, Postgres by URL.

The database owns votes, versions and people; runs and evaluations stay folders, and it only names them. Many reviewers
write at once: SQLite is in WAL mode and waits for its turn, and every function here that writes does so in one
transaction.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, Column, Connection, Engine, UniqueConstraint, event, false, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn
from sqlmodel import Field, Session, SQLModel, create_engine

from trainer import config as run_config
from trainer.errors import READ_ONLY, UserError, of_the_disk

WAIT_SECONDS = 30.0
"""For the turn of another writer (SQLite)."""

_CREATION = 0xBED51DE
"""Key of Postgres' advisory lock under which tables are made."""

Choice = Literal["first", "second", "tie", "both_bad"]
Role = Literal["reader", "adjudicator"]
CRITERIA = ("accuracy", "safety", "clarity", "completeness")
"""On which an answer is rated from 1 to 5 (lecture L3.4)."""


class StoreError(UserError):
    """The database cannot be opened or does not take what it was given; the text says what to do."""


def now() -> datetime:
    """This moment, with its time zone."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """A kept moment with its time zone, which SQLite does not keep."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def new_identity() -> str:
    """An id that nothing else has."""
    return uuid.uuid4().hex[:16]


def _json(default: type = dict) -> Any:
    return Field(default_factory=default, sa_column=Column(JSON, nullable=False))


class ReviewSet(SQLModel, table=True):
    """Questions that two versions answer and reviewers judge."""

    id: str = Field(default_factory=new_identity, primary_key=True)
    name: str = Field(unique=True)
    first: str
    """A model, as `trainer.model_refs.ModelRef` writes it; so is `second`."""
    second: str
    blind: bool = True
    reviewers: list[str] = _json(list)
    """Whom its cases are dealt to; empty: whoever comes reads all of them."""
    double_share: float = 0.0
    """Share of the cases that two reviewers read."""
    sampling: dict[str, Any] = _json()
    """`evaluators.generation.Sampling` of the answers."""
    seed: int = 17
    created: datetime = Field(default_factory=now)


class Comparison(SQLModel, table=True):
    """One question and two models' answers to it, as they are judged; in a set, or asked in the Playground."""

    id: str = Field(default_factory=new_identity, primary_key=True)
    set_id: str | None = Field(default=None, foreign_key="reviewset.id", index=True)
    prompt: list[dict[str, str]] = _json(list)
    """The conversation up to the question, without the system prompt."""
    first: str
    second: str
    first_answer: str | None = None
    """None until the model has answered."""
    second_answer: str | None = None
    blind: bool = True
    sampling: dict[str, Any] = _json()
    place: int = 0
    """In its set: what comes first is judged first."""
    group: str = ""
    """Specialty, task or the like."""
    source: str = ""
    """Where the question came from: a file's row, a saved case, an evaluation."""
    chosen_by: str = ""
    """Why it stands in the queue, in words: "uncertain: entropy 2.31"; empty where nobody chose."""
    created: datetime = Field(default_factory=now)


class Assignment(SQLModel, table=True):
    """That a reviewer is to judge a comparison, and what became of it."""

    __table_args__ = (UniqueConstraint("comparison_id", "reviewer"),)
    id: int | None = Field(default=None, primary_key=True)
    comparison_id: str = Field(foreign_key="comparison.id", index=True)
    reviewer: str = Field(index=True)
    state: str = "open"
    """open, done or skipped."""
    reason: str = ""
    """Why it was skipped."""


class Vote(SQLModel, table=True):
    """What one reviewer said of one comparison. Voting again replaces the vote of the same role."""

    __table_args__ = (UniqueConstraint("comparison_id", "reviewer", "role"),)
    id: int | None = Field(default=None, primary_key=True)
    comparison_id: str = Field(foreign_key="comparison.id", index=True)
    reviewer: str = Field(index=True)
    role: str = "reader"
    choice: str
    """first, second, tie or both_bad: of the comparison, wherever they stood on the page."""
    swapped: bool = False
    """Whether this reviewer saw the second answer on the left."""
    changed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Whether another choice was made after the names of a blind comparison were shown, which a vote does."""
    ratings: dict[str, dict[str, int]] = _json()
    """For "first" and "second", 1 to 5 on each of `CRITERIA` that was rated."""
    correction: str = ""
    """A better answer that the reviewer wrote."""
    spans: list[dict[str, Any]] = _json(list)
    """What is wrong in an answer: side (first or second), start, end (characters), text, reason."""
    comment: str = ""
    seconds: float = 0.0
    """From the answers being shown to the vote."""
    created: datetime = Field(default_factory=now)


class Version(SQLModel, table=True):
    """A released state of a line of models; `number` is semantic (lecture L3.1)."""

    __table_args__ = (UniqueConstraint("line", "number"),)
    id: str = Field(default_factory=new_identity, primary_key=True)
    line: str = Field(index=True)
    number: str
    """major.minor.patch"""
    model: str
    """As `trainer.model_refs.ModelRef` writes it."""
    parent: str | None = None
    """Number of the version that it goes on from."""
    change: str = ""
    """drug, guideline, research, epidemiology, alignment, data, base or fix."""
    changelog: str = ""
    data_manifest: dict[str, Any] = _json()
    """Sources, licences and hashes of what it was trained on."""
    knowledge_until: str | None = None
    """ISO date after which it can know nothing."""
    evaluation: str | None = None
    """Id of the evaluation that its gates are of."""
    gates: list[dict[str, Any]] = _json(list)
    despite: str = ""
    """Why it was registered although a gate fails, or cases fail that the last version passed."""
    created: datetime = Field(default_factory=now)


class Deployment(SQLModel, table=True):
    """Which version of a line is in use since when; only ever appended, the last one counts."""

    id: int | None = Field(default=None, primary_key=True)
    line: str = Field(index=True)
    number: str
    reason: str = ""
    created: datetime = Field(default_factory=now)


class SignOff(SQLModel, table=True):
    """A named person's word on a model's dossier (lecture L3.20), or that it is taken back; only ever appended."""

    id: int | None = Field(default=None, primary_key=True)
    model: str = Field(index=True)
    """As `trainer.model_refs.ModelRef` writes it."""
    evidence_sha256: str
    """The state of the evidence that it is on (`trainer.dossier.evidence`)."""
    reviewer: str
    role: str
    statement: str
    """What was looked at and concluded; of a row that takes one back, why."""
    withdraws: int | None = None
    """The sign-off that this row takes back."""
    created: datetime = Field(default_factory=now)


class ABTest(SQLModel, table=True):
    """Two versions of a line in use side by side, users divided by a fixed split (lecture L3.1)."""

    id: str = Field(default_factory=new_identity, primary_key=True)
    line: str = Field(index=True)
    first: str
    """Number of the version in use; `second` is the one that is tried."""
    second: str
    share: float = 0.5
    """Of the users who get the second."""
    settings: dict[str, Any] = _json()
    """Error rates and smallest difference of its sequential test, fixed when it began."""
    ended: datetime | None = None
    conclusion: str = ""
    created: datetime = Field(default_factory=now)


class Outcome(SQLModel, table=True):
    """How one user's answer went in an A/B test."""

    id: int | None = Field(default=None, primary_key=True)
    test_id: str = Field(foreign_key="abtest.id", index=True)
    user: str
    """A hash of the user's name."""
    arm: str
    """first or second."""
    good: bool
    created: datetime = Field(default_factory=now)


class Person(SQLModel, table=True):
    """Somebody who may sign in to the pages (`trainer.people`). Whoever is removed keeps the row, and so the name."""

    name: str = Field(primary_key=True)
    """As votes are kept under it; on a Space, the Hugging Face user name."""
    role: str
    """`trainer.actor.Role`."""
    password: str = ""
    """`trainer.passwords.hashed`; empty where Hugging Face says who it is."""
    created: datetime = Field(default_factory=now)
    removed: datetime | None = None


_engines: dict[str, Engine] = {}
_opening = threading.Lock()


def url() -> str:
    """Where the database is: `BEDSIDE_DATABASE` (postgresql://...), else `bedside.db` in the home."""
    found = os.environ.get("BEDSIDE_DATABASE", "")
    if found.startswith(("postgres://", "postgresql://")):
        return "postgresql+psycopg://" + found.partition("://")[2]
    return found or f"sqlite:///{run_config.home() / 'bedside.db'}"


def engine() -> Engine:
    """The open database, with its tables; opened once for each URL. Raises `StoreError` where it cannot be had."""
    where = url()
    with _opening:
        if where not in _engines:
            _engines[where] = _open(where)
        return _engines[where]


@contextmanager
def session() -> Iterator[Session]:
    """A transaction: committed at its end, rolled back where something is raised. What was read stays readable."""
    with Session(engine(), expire_on_commit=False) as found:
        try:
            yield found
            found.commit()
        except SQLAlchemyError as error:
            found.rollback()
            told = of_the_disk(error) or f"The database {_shown(url())} did not take it: {_reason(error)}."
            raise StoreError(told) from error


def upsert(session: Session, table: type[SQLModel], key: dict[str, Any], values: dict[str, Any]) -> None:
    """Add a row, or change the one with this key (a unique constraint of the table), in one statement.

    Of two writers at once neither fails: the later one's values stand.
    """
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert
    statement = insert(table).values(**key, **values)
    session.connection().execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _open(where: str) -> Engine:
    sqlite = where.startswith("sqlite")
    try:
        # Without the values of a statement in its errors, which are what people wrote: errors come into logs.
        made = create_engine(
            where,
            connect_args={"timeout": WAIT_SECONDS} if sqlite else {},
            pool_pre_ping=not sqlite,
            hide_parameters=True,
        )
        if sqlite:
            event.listen(made, "connect", _settings)
            # sqlite3 begins a transaction late and as a reader; one that then writes may be refused without waiting.
            event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with made.begin() as connection:
            if not sqlite:
                # Else two processes that open a new database at once would both make its tables.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATION})
            SQLModel.metadata.create_all(connection)
            _add_columns(connection, where)
        return made
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(
            of_the_disk(error)
            or _read_only(where)
            or f"The database {_shown(where)} cannot be opened: {_reason(error)}. Set BEDSIDE_DATABASE to a database "
            "that is there, or leave it empty for one in the home."
        ) from error


def _add_columns(connection: Connection, where: str) -> None:
    """Give an older database the columns that came later and say what is true of all older rows.

    Raises `StoreError` naming the first table whose missing columns cannot be filled so.
    """
    columns = inspect(connection).get_multi_columns()
    found = {name: {column["name"] for column in own} for (_, name), own in columns.items()}
    for table in SQLModel.metadata.sorted_tables:
        missing = [column for column in table.columns if column.name not in found[table.name]]
        if unknown := [column.name for column in missing if column.server_default is None]:
            raise StoreError(
                f"The database {_shown(where)} was made by another version of Bedside: its table {table.name} has no "
                f"{', '.join(unknown)}. Use that version, or set BEDSIDE_DATABASE to a new database."
            )
        for column in missing:
            made = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {made}"))


def _settings(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _read_only(where: str) -> str:
    """That a file of SQLite stands where nothing can be written, in a sentence: SQLite itself only says that it could
    not be opened, since it writes also to read."""
    file = make_url(where).database if where.startswith("sqlite") else None
    folder = os.path.dirname(file) if file else ""
    return READ_ONLY.format(place=folder) if folder and not os.access(folder, os.W_OK) else ""


def _shown(where: str) -> str:
    """The URL without its password."""
    head, at, tail = where.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else where


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0].rstrip(".")
