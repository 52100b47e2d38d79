"""Breakages of what keeps models answering under load and failure."""

from tests.breakages.breakage import broken

SLOTS = "jobs/triage/slots.py"
SLOTS_TESTS = "tests/unit/test_triage_slots.py"

PROVIDERS = (
    broken(
        "providers",
        "no limit of calls at once",
        SLOTS,
        "            if self._free:\n                self._free -= 1\n",
        "            if self._limit:\n                self._free -= 1\n",
        SLOTS_TESTS,
    ),
    broken(
        "providers",
        "a wait that is foreseen is begun",
        SLOTS,
        "> self._wait_seconds:\n",
        "> 1e9:\n",
        SLOTS_TESTS,
    ),
    broken(
        "providers",
        "crowded tells the breaker of an answer",
        "jobs/triage/chain.py",
        "            if exc.kind not in NOT_ASKED:\n                self._heard(model, exc)\n",
        "            self._heard(model, exc)\n",
        SLOTS_TESTS,
    ),
    broken(
        "providers",
        "crowded speaks against the service",
        "jobs/handle_tickets.py",
        "        if failure.is_fault:\n",
        "        if failure:\n",
        SLOTS_TESTS,
    ),
)
