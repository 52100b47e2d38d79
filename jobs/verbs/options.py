"""What each verb takes beside its name: argparse alone, for the door."""

import argparse
from pathlib import Path

MIGRATE_ACTIONS = ("deploy", "status", "dry-run", "new", "rollback", "verify")
SANDBOX_WORDS = "try it with simulated services and sandbox.db"


def add_migrate_options(migrate: argparse.ArgumentParser) -> None:
    migrate.add_argument("action", nargs="?", choices=MIGRATE_ACTIONS, default="deploy")
    migrate.add_argument("name", nargs="?", metavar="NAME", help="new: a few words, joined by _")
    migrate.add_argument("--from-models", action="store_true", help="new: what models and database differ in")
    migrate.add_argument(
        "--to", metavar="ID", help="rollback: the migration to go back to (default: the last but one)"
    )
    migrate.add_argument("--yes", action="store_true", help="deploy, rollback: also what cannot be had back")
    add_json(migrate)


def add_run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("--sandbox", action="store_true", help=SANDBOX_WORDS)
    run.add_argument("--tickets", type=Path, metavar="FILE", help="sandbox: JSON lines of id, subject, body")
    run.add_argument("--dry-run", action="store_true", help="print the cards, record and send nothing")
    add_json(run)


def add_studio_options(browse: argparse.ArgumentParser) -> None:
    browse.add_argument(
        "--write", action="store_true", help="allow two edits: a channel's pause, an event set aside"
    )
    browse.add_argument("--port", type=int, default=5555, metavar="N", help="default: 5555, 0 for a free one")
    browse.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="another address to listen on; needs ADMIN_TOKEN"
    )


def add_retention_options(forget: argparse.ArgumentParser) -> None:
    forget.add_argument("--days", type=int, metavar="N", help="remember so many (default: RETENTION_DAYS)")
    forget.add_argument("--dry-run", action="store_true", help="count what would go, change nothing")
    add_json(forget)


def add_reconcile_options(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("--since", metavar="TIME", help="created since then (default: all it remembers)")
    compare.add_argument(
        "--restored-at",
        metavar="TIME",
        help="the ledger was restored from a backup and went live then, or now: hold what it cannot know",
    )
    add_json(compare)


def add_redteam_options(attack: argparse.ArgumentParser) -> None:
    attack.add_argument(
        "--provider",
        choices=["simulated", "local", "groq"],
        default="simulated",
        help="whom to attack (default: a simulated model that obeys every attacker)",
    )
    attack.add_argument(
        "--degree",
        choices=["seeing", "knowing"],
        help="simulated: obeys what it reads (default), or the attacker's wish whatever it reads",
    )
    add_json(attack)


def add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
