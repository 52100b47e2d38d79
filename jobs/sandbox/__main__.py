"""``python -m jobs.sandbox``: the simulated vendors in a process of their own, reached by URL alone."""

import _thread
import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from jobs.errors import InputError
from jobs.sandbox.world import SandboxWorld, sandbox_world


def main(arguments: list[str] | None = None) -> int:
    """Serves until Ctrl-C or SIGTERM; 2 for a file or a port that cannot be used."""
    options = _parser().parse_args(arguments)
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # By another thread: this one may stand in a wait that holds the event's lock.
        signal.signal(number, lambda *_: _thread.start_new_thread(finished.set, ()))
    try:
        with sandbox_world(
            options.tickets,
            hubspot_port=options.hubspot_port,
            ollama_port=options.ollama_port,
            discord_port=options.discord_port,
            groq_port=options.groq_port,
        ) as world:
            sys.stdout.write(describe(world))
            sys.stdout.flush()
            finished.wait()
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot listen on the port it was given: {error.strerror}\n")
        return 2
    return 0


def describe(world: SandboxWorld) -> str:
    """The settings as lines for a shell or a .env file, with the warning as comments."""
    discord = world.discord
    settings = "".join(f"{name}={shlex.quote(value)}\n" for name, value in world.settings.items())
    return (
        "# A simulation of HubSpot, Ollama, Groq and Discord on this machine: no account, ticket, model or\n"
        "# channel is real.\n"
        "# Serving until Ctrl-C. Point the product at it with these settings; another DATABASE_URL will do,\n"
        "# but never the ledger of a live portal.\n"
        f"{settings}"
        "# CLOUD_TRIAGE=full lets Groq take part. A bot instead of the webhook: no DISCORD_WEBHOOK_URL, but\n"
        f"# DISCORD_BOT_TOKEN={discord.bot.token} DISCORD_CHANNEL_ID={discord.channel.channel_id}\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.sandbox", description=__doc__)
    parser.add_argument("--tickets", type=Path, metavar="FILE", help="JSON lines with id, subject and body")
    for name in ("hubspot", "ollama", "discord", "groq"):
        parser.add_argument(f"--{name}-port", type=int, default=0, metavar="N", help="0, the default, is any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
