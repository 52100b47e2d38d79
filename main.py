"""The door: one short function per verb; what a verb needs is imported when it runs."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from jobs.verbs import options

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

UNFINISHED, MISUSED = 1, 2
MOST_PORT = 65_535
RELEASES = (("resend", "send a held ticket once more"), ("confirm", "count a held ticket as told"))
REDTEAM_WORDS = "attack the triage with hostile tickets: exit 1 if one gets through"
COPIES = (
    ("backup", "write the whole ledger into a file, with its checksum beside it"),
    ("restore", "put a backup, or a dump of the original's, in the place of an empty database"),
)
MIGRATE_WORDS = "bring the database up to date, or tell where it is"
HEALTH_WORDS = "how things are, by the ledger: 0 healthy, 1 degraded"
STUDIO_WORDS = "browse the database's tables in a web browser on this machine"
RECONCILE_WORDS = "compare HubSpot with the ledger, propose what it lacks"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python main.py",
        description="Watches HubSpot for new support tickets, triages them and tells the team once.",
        epilog="exit codes: 0 done; 1 tickets held or a service out of reach; 2 usage or settings",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    # In the order in which --help lists them.
    add_runs(verbs)
    options.add_migrate_options(add_verb(verbs, "migrate", run_migrate, MIGRATE_WORDS))
    add_views(verbs)
    options.add_studio_options(add_verb(verbs, "studio", run_studio, STUDIO_WORDS))
    add_upkeep(verbs)
    options.add_redteam_options(add_verb(verbs, "redteam", run_redteam, REDTEAM_WORDS))
    add_releases(verbs)
    return parser


def add_runs(verbs: Verbs) -> None:
    run = add_verb(verbs, "run-once", run_once, "find new tickets, triage them, tell each once, and end")
    options.add_run_options(run)

    worker = add_verb(verbs, "worker", run_worker, "run for good: poll, sweep, webhooks, nightly jobs")
    worker.add_argument("--sandbox", action="store_true", help=options.SANDBOX_WORDS)


def add_views(verbs: Verbs) -> None:
    counts = add_verb(verbs, "stats", run_stats, "how many tickets were told, by whom, and what is open")
    counts.add_argument("--days", type=int, default=7, metavar="N", help="of the details (default: 7)")
    options.add_json(counts)

    options.add_json(add_verb(verbs, "health", run_health, HEALTH_WORDS))

    doctor = add_verb(verbs, "doctor", run_doctor, "look at every setting and service, and say what to mend")
    doctor.add_argument("--send-test-card", action="store_true", help="send one card marked as a test")
    options.add_json(doctor)

    tickets = add_verb(verbs, "tickets", run_tickets, "list the ledger's newest tickets")
    tickets.add_argument("--state", help="found, claimed, retry, notified, unconfirmed, skipped or merged")
    options.add_json(tickets)


def add_upkeep(verbs: Verbs) -> None:
    forget = add_verb(verbs, "retention", run_retention, "forget old settled tickets, as every night")
    options.add_retention_options(forget)

    for name, words in COPIES:
        copy = add_verb(verbs, name, run_copy, words)
        copy.add_argument("file", type=Path, metavar="FILE")
        options.add_json(copy)
        if name == "restore":
            copy.add_argument("--yes", action="store_true", help="save what the database holds, replace it")

    options.add_reconcile_options(add_verb(verbs, "reconcile", run_reconcile, RECONCILE_WORDS))


def add_releases(verbs: Verbs) -> None:
    for name, words in RELEASES:
        release = add_verb(verbs, name, run_release, words)
        release.add_argument("ticket", metavar="TICKET", help="the HubSpot ticket id")


def add_verb(
    verbs: Verbs,
    name: str,
    run: Callable[[argparse.Namespace], int],
    words: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=words, description=words)
    verb.set_defaults(run=run)
    return verb


def run_once(args: argparse.Namespace) -> int:
    if args.tickets and not args.sandbox:
        return misuse("--tickets works with --sandbox only", args)
    if args.sandbox and args.dry_run:
        return misuse("--dry-run reads the live portal; the sandbox needs none", args)
    from jobs.verbs import run

    if args.sandbox:
        return run.run_sandbox(args.tickets, as_json=args.json)
    return run.run_live(dry_run=args.dry_run, as_json=args.json)


def run_worker(args: argparse.Namespace) -> int:
    from jobs.verbs import worker

    return worker.run_sandbox() if args.sandbox else worker.run_live()


def run_migrate(args: argparse.Namespace) -> int:
    wrong = (
        ("new needs a NAME: a few words, joined by _", args.action == "new" and not args.name),
        ("only new takes a NAME", args.action != "new" and args.name),
        ("--from-models works with new only", args.from_models and args.action != "new"),
        ("--to works with rollback only", args.to and args.action != "rollback"),
        ("--yes works with deploy and rollback only", args.yes and args.action not in ("deploy", "rollback")),
    )
    for line, is_wrong in wrong:
        if is_wrong:
            return misuse(line, args)
    from jobs.verbs import migrate

    return migrate.migrate(args)


def run_stats(args: argparse.Namespace) -> int:
    from jobs.verbs import stats

    return stats.show_stats(args.days, as_json=args.json)


def run_health(args: argparse.Namespace) -> int:
    from jobs.verbs import health

    return health.show_health(as_json=args.json)


def run_doctor(args: argparse.Namespace) -> int:
    from jobs.verbs import doctor

    return doctor.examine(send_test_card=args.send_test_card, as_json=args.json)


def run_tickets(args: argparse.Namespace) -> int:
    from jobs.verbs import ledger

    return ledger.show_tickets(args.state, as_json=args.json)


def run_studio(args: argparse.Namespace) -> int:
    if not 0 <= args.port <= MOST_PORT:
        return misuse(f"--port: must be 0 to {MOST_PORT}; 0 takes a free one", args)
    from jobs.verbs import studio

    return studio.studio(args.host, args.port, may_write=args.write)


def run_retention(args: argparse.Namespace) -> int:
    from jobs.verbs import retention

    return retention.retention(args.days, dry_run=args.dry_run, as_json=args.json)


def run_copy(args: argparse.Namespace) -> int:
    from jobs.verbs import backup

    if args.verb == "backup":
        return backup.backup(args.file, as_json=args.json)
    return backup.restore(args.file, yes=args.yes, as_json=args.json)


def run_reconcile(args: argparse.Namespace) -> int:
    from jobs.verbs import reconcile

    return reconcile.reconcile(args.since, args.restored_at, as_json=args.json)


def run_redteam(args: argparse.Namespace) -> int:
    if args.degree and args.provider != "simulated":
        return misuse("--degree is the simulated model's; a provider is as obedient as it is", args)
    from jobs.verbs import redteam

    return redteam.redteam(args.provider, args.degree or "seeing", as_json=args.json)


def run_release(args: argparse.Namespace) -> int:
    from jobs.verbs import ledger

    return ledger.release(args.ticket, resend=args.verb == "resend")


def misuse(line: str, args: argparse.Namespace) -> int:
    print(f"python main.py {args.verb}: {line}", file=sys.stderr)
    return MISUSED


def main() -> int:
    open_missing_streams()
    args = build_parser().parse_args()
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return UNFINISHED
    except OSError as error:
        return give_up_output(error)
    except Exception as error:  # noqa: BLE001 - the door: a user never meets a traceback
        return explain(error, args)
    return code


def open_missing_streams() -> None:
    """A process started with a closed standard output or error has None there, and no file to print to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def give_up_output(error: OSError) -> int:
    """Standard output is closed or full: said once, and not again while Python shuts down."""
    print(f"the output could not be written ({type(error).__name__}); nothing else was lost", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return UNFINISHED


def explain(error: Exception, args: argparse.Namespace) -> int:
    """One line for a fault that has one; anything else is ours, and its class is all that is safe to show."""
    from jobs.verbs.faults import exit_code_of, line_of

    line = line_of(error)
    print(line, file=sys.stderr)
    if getattr(args, "json", False):
        import json

        print(json.dumps({"error": line}))
    return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main())
