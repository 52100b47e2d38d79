"""The receiver in a process of its own, for ``tests.benchmarks.webhook``; prints its port."""

import os
import signal

from jobs.logs import start_logging
from jobs.web.app import build_app
from jobs.web.receiver import Receiver, ReceiverParts
from jobs.web.server import WebServer
from models.database import open_database
from models.inbox import store_events
from tests.benchmarks.webhook_load import PUBLIC_URL, SECRET


def main() -> None:
    start_logging("ERROR")
    open_database(os.environ["DATABASE_URL"])
    receiver = Receiver(ReceiverParts(store=store_events, client_secret=SECRET, public_url=PUBLIC_URL))
    server = WebServer(build_app([], receiver), 0, "127.0.0.1")
    server.start()
    print(server.port, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(5)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
