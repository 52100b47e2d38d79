"""A signal always stops: also one that comes while the main thread is within the wait for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANY_STOPS = """
import os, random, signal, threading, time
from jobs.verbs.run import stop_on_signals

def strike():
    time.sleep(random.uniform(0, 0.002))
    os.kill(os.getpid(), signal.SIGTERM)

for _ in range(300):
    with stop_on_signals() as stopping:
        threading.Thread(target=strike).start()
        while not stopping.wait(0):
            pass
print("stopped 300 times")
"""


def test_a_signal_in_the_middle_of_the_wait_for_it_stops() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_STOPS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "stopped 300 times\n"
