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
)
from models.errors import BackupRefused, StoreError
from models.postgres_programs import client

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
    if not may_exist(settings.database_url.get_secret_value()):
        yield ok("database", "there is no file yet; the first run makes it")
        return
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
    try:
        read_clock()
        yield examine_writing()
        yield examine_migrations()
        if settings.backup_dir and on_postgres():
            yield examine_clients()
    finally:
        close_database()


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
    there = first_that_exists(folder.absolute())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        line = f"BACKUP_DIR: {folder} cannot be written on this machine; name a folder that can be"
        yield fail("backups", line, mend=True)
    elif there != folder.absolute():
        line = (
            f"BACKUP_DIR: {folder} is not on this machine; the first backup makes it, but in a container "
            "without a volume there its backups are gone with the next deployment"
        )
        yield warn("backups", line)
    else:
        yield ok("backups", "BACKUP_DIR can be written")


def first_that_exists(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if os.path.lexists(one))


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
