"""An app behind a real uvicorn, in a thread of the test's process."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route


@contextmanager
def served(routes: Sequence[Route]) -> Iterator[str]:
    """The URL of a server with these routes, until left."""
    config = uvicorn.Config(Starlette(routes=list(routes)), log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        run = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        run.start()
        while not server.started:
            assert run.is_alive()
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        run.join(10)
