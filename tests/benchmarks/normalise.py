"""``python -m tests.benchmarks.normalise``: what making a ticket's texts plain takes. Exits 1 above a limit.

The 400 real complaints, as plain text and as an HTML mail each, mails of 1 MB, 20,000 nested tags and the
attacks of the tests. Each ticket is timed by itself, wall time, the best of three: other work on the machine
is not what is measured.
"""

import html
import json
import statistics
import sys
import time
from datetime import UTC, datetime

from jobs.intake.normalise import load_libraries, normalise
from jobs.ticket import Ticket
from tests.benchmarks.machine import machine
from tests.benchmarks.start import COMPLAINTS
from tests.unit.test_intake import MORE_ATTACKS
from tests.unit.test_intake_linear import ATTACKS

MEDIAN_LIMIT_MS, WORST_LIMIT_MS, TRIES = 2.0, 250.0, 3
LARGE = {
    "1 MB of HTML": "<p>Hello <b>world</b>, it is <i>us</i></p>\n" * 25_000,
    "1 MB of text": "word and word " * 75_000,
    "20,000 nested tags": "<div>" * 20_000 + "end",
}


def milliseconds(content: str) -> float:
    ticket = Ticket("1", content[:2_000], content, datetime.now(UTC), "")
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        normalise(ticket)
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def as_mail(body: str) -> str:
    paragraphs = "".join(f'<p style="color:#222">{html.escape(line)}</p>\n' for line in body.splitlines())
    return f"<html><head><style>p {{margin:0}}</style></head><body><div>{paragraphs}</div></body></html>"


def main() -> int:
    print(machine())
    load_libraries()
    within = True
    if COMPLAINTS.exists():
        bodies = [json.loads(line)["body"] for line in COMPLAINTS.read_text().splitlines()]
        for name, contents in (("text", bodies), ("HTML", map(as_mail, bodies))):
            times = [milliseconds(content) for content in contents]
            median, worst = statistics.median(times), max(times)
            print(f"{len(times)} complaints as {name}: median {median:.2f} ms, worst {worst:.1f} ms")
            within = within and median <= MEDIAN_LIMIT_MS and worst <= WORST_LIMIT_MS
    else:
        print("the complaints are not part of the repository: only the large ones are timed")
    for title, hostile in (("large", LARGE), ("attacks", ATTACKS | MORE_ATTACKS)):
        slow = {name: milliseconds(content) for name, content in hostile.items()}
        worst = max(slow.values())
        within = within and worst <= WORST_LIMIT_MS
        named = slow if title == "large" else {name: time for name, time in slow.items() if time == worst}
        print(f"{title}: " + ", ".join(f"{name} {taken:.0f} ms" for name, taken in named.items()))
    print(f"limits: median {MEDIAN_LIMIT_MS} ms, worst {WORST_LIMIT_MS} ms")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
