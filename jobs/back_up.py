"""The nightly backup into BACKUP_DIR, and the rotation of the old ones."""

import logging
import time
from datetime import datetime, timedelta
from pathlib import Path

from models.backup_files import sheet_path
from models.backups import write_backup
from models.cursors import drop_lease, take_lease
from models.database import on_postgres
from models.errors import BackupRefused
from models.job_runs import has_run_well_within

log = logging.getLogger("triage")

LEASE = "backup"
LEASE_SECONDS = 3600.0
NAMED = "triage-[0-9]*T[0-9]*Z."
#: A second worker of the same night leaves it at the first one's.
SAME_NIGHT = timedelta(hours=12)


def back_up(folder: Path, keep: int, owner: str, now: datetime) -> Path | None:
    """Write one, then delete all but the newest ``keep``; None where another worker made this night's.

    Raises BackupRefused and BackupFailed; then no old one is deleted.
    """
    if not take_lease(LEASE, owner, LEASE_SECONDS):
        return None
    try:
        if has_run_well_within("backup", SAME_NIGHT):
            return None
        make_folder(folder)
        clear_leftovers(folder)
        ending = "dump" if on_postgres() else "db"
        file = folder / f"triage-{now:%Y%m%dT%H%M%SZ}.{ending}"
        sheet = write_backup(file)
        gone = rotate(folder, ending, keep)
        log.info("backup written", extra={"bytes": sheet.bytes, "deleted": gone})
        return file
    finally:
        drop_lease(LEASE, owner)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupRefused(
            f"BACKUP_DIR: {folder} cannot be made ({type(error).__name__}); name a folder that can be written"
        ) from None


def clear_leftovers(folder: Path) -> None:
    """What a nightly backup that was killed left, and no other worker can be writing any more."""
    for part in folder.glob(f"{NAMED}*.part"):
        if time.time() - part.stat().st_mtime > LEASE_SECONDS:
            part.unlink(missing_ok=True)
    for sheet in folder.glob(f"{NAMED}*.json"):
        if time.time() - sheet.stat().st_mtime > LEASE_SECONDS and not sheet.with_suffix("").exists():
            sheet.unlink(missing_ok=True)


def rotate(folder: Path, ending: str, keep: int) -> int:
    """How many were deleted; files of other names, and backups by hand, are left alone."""
    old = sorted(folder.glob(f"{NAMED}{ending}"))[:-keep]
    for file in old:
        file.unlink(missing_ok=True)
        sheet_path(file).unlink(missing_ok=True)
    return len(old)
