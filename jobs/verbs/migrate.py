"""``migrate``: deploy, status, dry-run, new, rollback, verify; ``--json`` with each."""

import argparse
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from jobs.settings import Need, load_settings
from jobs.verbs.ledger import ledger
from jobs.verbs.printing import print_json, remark, say
from models import schema
from models.database import connection, database
from models.errors import MigrationFailed
from models.migration_preview import Preview
from models.migration_rules import find_destruction, find_locks
from models.migration_writer import write_migration
from models.postgres import UNHURRIED
from models.schema_drift import find_drift


def migrate(args: argparse.Namespace) -> int:
    """Exit code 1 from ``status`` while any is pending, and from ``verify`` where anything drifted."""
    with ledger(UNHURRIED):
        return ACTIONS[args.action](args)


def deploy(args: argparse.Namespace) -> int:
    with suppress(MigrationFailed):  # what cannot be shown can be applied all the same
        warn_of_locks(schema.preview_migrations().pending)
    names = schema.deploy_migrations(may_destroy=args.yes, told=told("applied", as_json=args.json))
    return show_done("applied", names, "nothing to apply", as_json=args.json)


def rollback(args: argparse.Namespace) -> int:
    names = schema.rollback_migrations(
        args.to,
        overlap=timedelta(seconds=load_settings(needs=Need.DATABASE).poll_overlap_seconds),
        may_destroy=args.yes,
        told=told("reverted", as_json=args.json),
    )
    return show_done("reverted", names, "nothing to revert", as_json=args.json)


def told(verb: str, *, as_json: bool) -> schema.Told:
    """A line for each as it is done, since a later one may fail."""
    return schema.Told(
        done=lambda name: None if as_json else say(f"{verb} {name}"),
        waiting=lambda: remark(f"another process migrates now; waiting {schema.WAIT_SECONDS} s at most"),
    )


def show_done(verb: str, names: list[str], nothing: str, *, as_json: bool) -> int:
    if as_json:
        print_json({verb: names, "migrations": [as_entry(one) for one in schema.migration_status()]})
    elif not names:
        say(nothing)
    return 0


def status(args: argparse.Namespace) -> int:
    found = schema.migration_status()
    if args.json:
        print_json({"migrations": [as_entry(one) for one in found]})
    else:
        for one in found:
            say(f"{describe(one):<24} {one.name}")
    return 1 if any(one.applied_at is None for one in found) else 0


def describe(one: schema.MigrationStatus) -> str:
    if one.applied_at is None:
        return "pending"
    return "applied, file is gone" if one.missing else f"applied {one.applied_at:%Y-%m-%d %H:%M}"


def as_entry(one: schema.MigrationStatus) -> dict[str, object]:
    applied_at = one.applied_at and one.applied_at.isoformat(timespec="seconds")
    return {"name": one.name, "applied_at": applied_at, "file_missing": one.missing}


def dry_run(args: argparse.Namespace) -> int:
    plan = schema.preview_migrations()
    pending = plan.pending
    if args.json:
        sql = [{"name": one.name, "sql": one.statements} for one in pending]
        print_json({"first": plan.first, "adopted": plan.adopted, "pending": sql})
    else:
        show_plan(plan)
    for one in pending:
        for line in find_destruction(one.statements):
            remark(f"warning: {one.name} {line}; deploy will ask for --yes")
    warn_of_locks(pending)
    return 0


def show_plan(plan: schema.Plan) -> None:
    if plan.first:
        say("\n".join(["-- before any migration", *plan.first, ""]))
    if plan.adopted:
        say(f"-- {plan.adopted} (adopted)\n")
    for one in plan.pending:
        say("\n".join([f"-- {one.name}", *one.statements, ""]))
    say(f"-- {len(plan.pending)} pending; nothing was changed" if plan.pending else "nothing to apply")


def warn_of_locks(previews: list[Preview]) -> None:
    rows = schema.count_rows()
    for one in previews:
        for line in find_locks(one.statements, rows):
            remark(f"warning: {one.name} {line}")


def new(args: argparse.Namespace) -> int:
    if args.from_models:
        schema.require_current()
    with connection():
        path = write_migration(
            schema.FOLDER, args.name, datetime.now(UTC), database.obj if args.from_models else None
        )
    if args.json:
        print_json({"file": str(path) if path else None})
    else:
        say(f"wrote {path}" if path else "models and database do not differ: nothing was written")
    return 0


def verify(args: argparse.Namespace) -> int:
    with connection():
        lines = find_drift(database.obj, schema.FOLDER)
    if args.json:
        print_json({"drift": lines})
    else:
        say("\n".join(lines) or "database, models and migration files agree")
    return 1 if lines else 0


ACTIONS = {
    "deploy": deploy,
    "status": status,
    "dry-run": dry_run,
    "new": new,
    "rollback": rollback,
    "verify": verify,
}
