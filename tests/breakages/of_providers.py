"""Breakages of what keeps models answering under load and failure."""

from tests.breakages.breakage import broken

SLOTS = "jobs/triage/slots.py"
SLOTS_TESTS = "tests/unit/test_triage_slots.py"

WARMING = "jobs/triage/warming.py"
WARMING_TESTS = "tests/unit/test_triage_warming.py"

BUDGET = "jobs/triage/budget.py"
BUDGET_TESTS = "tests/unit/test_triage_load.py"

PROVIDERS = (
    broken(
        "providers",
        "seconds are not written",
        "models/counts.py",
        '        "model_seconds": use.seconds,\n',
        "",
        "tests/store/test_usage_meter.py",
    ),
    broken(
        "providers",
        "Groq's headers are not read",
        "jobs/triage/groq.py",
        "        self._budget.note(answer.headers)\n",
        "        answer.headers\n",
        BUDGET_TESTS,
    ),
    broken(
        "providers",
        "calls on their way are not set aside",
        BUDGET,
        "level = one.level_at(now) - needs[name]",
        "level = one.level_at(now)",
        BUDGET_TESTS,
    ),
    broken(
        "providers",
        "an allowance comes back at the reset alone",
        BUDGET,
        "rate = (most - level) / min(seconds, MAX_SECONDS)",
        "rate = 0.0",
        BUDGET_TESTS,
    ),
    broken(
        "providers",
        "a stranger's header withholds calls for ever",
        BUDGET,
        "min(seconds, MAX_SECONDS)\n    return Allowance(level, most, rate, now, now + MAX_SECONDS)",
        "seconds\n    return Allowance(level, most, rate, now, now + 1e9)",
        BUDGET_TESTS,
    ),
    broken(
        "providers",
        "a cold start counts as a hang",
        "jobs/triage/ollama.py",
        'kind == "timeout" and self._warming',
        'kind == "never" and self._warming',
        WARMING_TESTS,
    ),
    broken(
        "providers",
        "a hang counts as a cold start",
        WARMING,
        "return is_loaded is False",
        "return True",
        WARMING_TESTS,
    ),
    broken(
        "providers",
        "a load that never began is waited for",
        WARMING,
        "            self._over.set()\n            log",
        "            log",
        WARMING_TESTS,
    ),
    broken(
        "providers",
        "nobody loads the model in the background",
        WARMING,
        "            return False\n        self.start()\n        return True\n",
        "            return False\n        return True\n",
        WARMING_TESTS,
    ),
    broken(
        "providers",
        "a load given up is taken for a loaded model",
        WARMING,
        "if is_loaded and self._clock() >= self._heard_until:",
        "if is_loaded and self._clock() < 0:",
        WARMING_TESTS,
    ),
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
        "            if exc.asked:\n                self._heard(model, exc)\n",
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
