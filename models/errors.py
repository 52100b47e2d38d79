"""What can go wrong in the store, seen at a glance.

StoreError
├── StoreUnreachable      no connection, or it was lost: the outcome of the statement is unknown
├── StoreRefused          the server refuses the credentials, or has no such database: a settings fault
│   └── LoginRefused       the credentials, which somebody may be changing just now
├── StoreUnsafe           the server would acknowledge a commit that it can lose
├── SchemaBehind          migrations are pending on a database that is not empty
├── SchemaForeign         a table of ours exists with another shape
├── MigrationFailed       a migration could not be applied, and left nothing
├── MigrationDestroys     a migration drops what cannot be had back, and nobody said yes
├── WorkersAtWork         a worker is at work where nothing may change now
├── BackupRefused         a backup cannot be made or restored as asked; nothing was changed
├── BackupFailed          a backup or restore ended half way, which left nothing of it
├── WrongPortal           the ledger belongs to another HubSpot portal
├── LedgerUnused          the ledger has not been activated yet
├── QuestionRefused       what a person asks of the data browser fits no column, or takes too long
└── BarrierRefused        the time given for a restore cannot be one
"""


class StoreError(Exception):
    """One line: what is wrong, where, what to do. ``permanent`` is True where trying again cannot help."""

    permanent = True


class StoreUnreachable(StoreError):
    permanent = False


class StoreRefused(StoreError):
    pass


class LoginRefused(StoreRefused):
    """Of the credentials alone, which somebody may be changing just now."""


class StoreUnsafe(StoreError):
    pass


class SchemaBehind(StoreError):
    pass


class SchemaForeign(StoreError):
    pass


class MigrationFailed(StoreError):
    pass


class MigrationDestroys(StoreError):
    pass


class WorkersAtWork(StoreError):
    pass


class BackupRefused(StoreError):
    pass


class BackupFailed(StoreError):
    permanent = False


class WrongPortal(StoreError):
    pass


class LedgerUnused(StoreError):
    pass


class QuestionRefused(StoreError):
    pass


class BarrierRefused(StoreError):
    pass


#: What another try may cure, and what may have been done all the same.
OUT_OF_REACH = (StoreUnreachable, LoginRefused)
