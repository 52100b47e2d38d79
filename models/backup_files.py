"""What a backup is on disk: its kind, and the sheet beside it with its checksum and row counts."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from models.errors import BackupRefused

#: Told now and then how many bytes are done, and of how many where that is known.
Told = Callable[[int, int | None], object]

TAKEN = "restore takes what backup wrote, and of pg_dump -Fc, -Ft and plain SQL, each unpacked"


class Kind(StrEnum):
    """How a file is read back."""

    CUSTOM = "pg_dump custom"
    TAR = "pg_dump tar"
    PLAIN = "pg_dump plain"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Written beside a backup as ``FILE.json``; ``rows`` by table, as of the moment of the backup."""

    kind: str
    made_at: str
    bytes: int
    sha256: str
    rows: Mapping[str, int]


def sheet_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def write_sheet(file: Path, sheet: Sheet) -> None:
    text = json.dumps(asdict(sheet), indent=1) + "\n"
    with open_new(sheet_path(file)) as out:
        try:
            out.write(text.encode())
            out.flush()
        except BaseException:
            sheet_path(file).unlink(missing_ok=True)
            raise


def read_sheet(file: Path) -> Sheet | None:
    """None where there is none; raises BackupRefused for one that cannot be read."""
    try:
        return Sheet(**json.loads(sheet_path(file).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise BackupRefused(
            f"{sheet_path(file)} cannot be read ({type(error).__name__}); move it away to restore without it"
        ) from None


def open_new(path: Path):  # type: ignore[no-untyped-def]
    """For its owner alone. Raises BackupRefused where the file is there or cannot be made."""
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
    except FileExistsError:
        raise BackupRefused(f"{path} is there already; name another file") from None
    except OSError as error:
        raise BackupRefused(f"{path} cannot be written ({type(error).__name__}); check the folder") from None


def kind_of(file: Path) -> Kind:
    """By its first bytes. Raises BackupRefused for what is no backup."""
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise BackupRefused(f"{file} is no regular file; {TAKEN}")
    try:
        with file.open("rb") as source:
            head = source.read(4_096)
            source.seek(max(0, file.stat().st_size - 4_096))
            tail = source.read()
    except IsADirectoryError:
        raise BackupRefused(f"{file} is a folder; {TAKEN}") from None
    except OSError as error:
        raise BackupRefused(f"{file} cannot be read ({type(error).__name__}); check the name") from None
    if head.startswith(b"PGDMP"):
        return Kind.CUSTOM
    if head.startswith(b"toc.dat\0"):
        return Kind.TAR
    if head.startswith(b"SQLite format 3\0"):
        return Kind.SQLITE
    if b"PostgreSQL database cluster dump" in head:
        raise BackupRefused(f"{file} is of pg_dumpall; {TAKEN}")
    if b"PostgreSQL database dump" in head and b"PostgreSQL database dump complete" not in tail:
        raise BackupRefused(f"{file} ends half way: its last lines are missing; use another backup")
    if b"PostgreSQL database dump" in head or b"CREATE TABLE" in head:
        return Kind.PLAIN
    raise BackupRefused(f"{file} is no backup; {TAKEN}")


def no_ledger_line(file: Path) -> str:
    return f"{file} holds no ledger: no table processed_tickets of ours is in it; nothing was changed"


def checksum(file: Path, told: Told = lambda _done, _of: None) -> str:
    digest, done, size = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
            done += len(piece)
            told(done, size)
    return digest.hexdigest()
