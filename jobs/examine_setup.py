"""``doctor``: looks at every setting and service once, whatever fails; the first steps are here."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from jobs.errors import SettingsError, TriageError
from jobs.examine_services import examine_channels, examine_hubspot, examine_models, examine_webhook
from jobs.finding import Finding, fail, ok, warn
from jobs.settings import Need, Settings, load_settings
from jobs.triage.prompt import count_sop_left_out, load_sop
from jobs.wiring import build_models
from models import cursors, schema
from models.database import (
    close_database,
    connection,
    may_exist,
    on_postgres,
    open_database,
    read_clock,
    require_writable,
    sqlite_path,
)
from models.errors import BackupRefused, StoreError
from models.postgres_programs import client

LONGEST_NAME = 255  #: of one file or folder, on every file system that is usual

Examination = Callable[[Settings], Iterator[Finding]]


def examine_setup(*, send_test_card: bool = False) -> Iterator[Finding]:
    """Every finding, as it is made. Reads the environment; writes nothing anywhere but the test card.

    With settings that cannot be read only the database and its backups are looked at beside them.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        # The first line is a heading; every other one is a mistake of its own.
        yield from (fail("settings", line, mend=True) for line in str(error).splitlines()[1:] or [str(error)])
        yield from examine_ours_alone()
        yield warn("services", "were not looked at: mend the settings first")
        return
    yield from examine_settings(settings)
    examinations: dict[str, Examination] = {
        "procedures": examine_procedures,
        "database": examine_database,
        "backups": examine_backups,
        "hubspot": partial(examine_hubspot, known_portal=known_portal(settings)),
        "models": examine_models,
        "discord": partial(examine_channels, send_test_card=send_test_card),
        "webhook": examine_webhook,
    }
    for name, examine in examinations.items():
        yield from guarded(name, examine, settings)


def guarded(name: str, examine: Examination, settings: Settings) -> Iterator[Finding]:
    """What ends an examination is its last finding."""
    try:
        yield from examine(settings)
    except (TriageError, StoreError) as error:
        yield fail(name, str(error), mend=error.permanent)
    except Exception as error:  # noqa: BLE001 - its text may hold anything
        yield fail(name, f"the examination broke off ({type(error).__name__}); please report it")


def examine_settings(settings: Settings) -> Iterator[Finding]:
    yield ok("settings", "can be used")
    yield from (warn("settings", line) for line in settings.warnings)


def examine_procedures(settings: Settings) -> Iterator[Finding]:
    if settings.sop_file is None:
        yield ok("procedures", "SOP_FILE is not set: the guidelines alone are used")
        return
    sop = load_sop(settings.sop_file)
    yield ok("procedures", f"SOP_FILE has {len(sop)} characters")
    for model in build_models(settings):
        if left_out := count_sop_left_out(settings.company_name, sop, model.budget_chars):
            line = f"SOP_FILE's last {left_out} characters never reach {model.model}; put what matters first"
            yield warn("procedures", line)


def examine_ours_alone() -> Iterator[Finding]:
    try:
        settings = load_settings(needs=Need.DATABASE)
    except SettingsError:
        yield warn("database", "was not looked at: mend the settings first")
        return
    yield from guarded("database", examine_database, settings)
    yield from guarded("backups", examine_backups, settings)


def examine_database(settings: Settings) -> Iterator[Finding]:
    url = settings.database_url.get_secret_value()
    if not may_exist(url):
        yield examine_new_file(sqlite_path(url))
        return
    open_database(url, settings.db_pool_size)
    try:
        read_clock()
        yield examine_writing()
        yield examine_migrations()
        if settings.backup_dir and on_postgres():
            yield examine_clients()
    finally:
        close_database()


def examine_new_file(file: Path) -> Finding:
    folder = file.absolute().parent
    fault = find_fault(file) or (None if folder.is_dir() else f"the folder {folder} is not there; create it")
    if fault:
        return fail("database", f"DATABASE_URL: {fault}", mend=True)
    return ok("database", "there is no file yet; the first run makes it")


def examine_writing() -> Finding:
    try:
        require_writable()
    except StoreError as error:
        return fail("database", str(error), mend=error.permanent)
    return ok("database", "answers and takes writes, and commits are durable")


def examine_migrations() -> Finding:
    if schema.database_is_empty():
        return ok("migrations", "the database is empty; the first run sets it up")
    pending = [one.name for one in schema.migration_status() if one.applied_at is None]
    if pending:
        line = f"{len(pending)} to apply ({pending[0]} is next); run: python main.py migrate deploy"
        return fail("migrations", line, mend=True)
    known = cursors.read_known_ledger()
    portal = f"portal {known.portal_id}" if known and known.portal_id else "no portal yet"
    return ok("migrations", f"all applied; the ledger belongs to {portal}")


def examine_clients() -> Finding:
    """Without them the night's backup fails."""
    try:
        with connection():
            for program in ("pg_dump", "pg_restore", "psql"):
                client(program)
    except BackupRefused as error:
        return fail("backup programs", str(error), mend=True)
    return ok("backup programs", "pg_dump, pg_restore and psql are here, and as new as the server")


def examine_backups(settings: Settings) -> Iterator[Finding]:
    folder = settings.backup_dir
    if folder is None:
        yield ok("backups", "BACKUP_DIR is not set: none is made at night")
        return
    if fault := find_fault(folder):
        yield fail("backups", f"BACKUP_DIR: {fault}", mend=True)
    elif not folder.exists():
        line = (
            f"BACKUP_DIR: {folder} is not on this machine; the first backup makes it, but in a container "
            "without a volume there its backups are gone with the next deployment"
        )
        yield warn("backups", line)
    else:
        yield ok("backups", "BACKUP_DIR can be written")


def find_fault(path: Path) -> str | None:
    """Why ``path`` cannot be made or written to, as far as can be seen without doing so."""
    there = next(one for one in (path.absolute(), *path.absolute().parents) if os.path.lexists(one))
    if there != path.absolute():
        if str(path).startswith("~"):
            return f"{path} is taken as it stands, ~ is not read; write the whole path"
        if ":" in str(path).partition("/")[0]:
            return "what it names is an address, no place on this machine; name a folder, or mount it as one"
        if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            return f"a name in it is too long, more than {LONGEST_NAME} bytes; shorten it"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return f"{path} cannot be written on this machine; name a place that can be"
    return None


def known_portal(settings: Settings) -> str | None:
    """The ledger's portal; None also where the database cannot be read, which its own line tells."""
    if not may_exist(settings.database_url.get_secret_value()):
        return None
    try:
        open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
        known = cursors.read_known_ledger() if schema.is_current() else None
    except StoreError:
        return None
    finally:
        close_database()
    return known.portal_id if known else None
