"""Breakages of what keeps a model's advice safe, whatever the ticket told the model."""

from tests.breakages.breakage import broken

CHAIN = "jobs/triage/chain.py"
STEERING = "jobs/triage/steering.py"
TESTS = "tests/unit/test_triage_steering.py"

TRIAGE = (
    broken(
        "influence test",
        "orders are read once",
        CHAIN,
        "return take_safer(whole, self._decide(apart)) if apart else whole",
        "return whole",
        TESTS,
    ),
    broken(
        "influence test",
        "the words are those of who read the orders",
        STEERING,
        "        apart,\n        priority=",
        "        whole,\n        priority=",
        TESTS,
    ),
    broken(
        "influence test",
        "the reading apart may lower",
        STEERING,
        "priority=max(whole.priority, apart.priority, key=lambda one: one.rank)",
        "priority=apart.priority",
        TESTS,
    ),
    broken(
        "influence test",
        "a second reading by rules is one without a change",
        STEERING,
        "apart.provider is not Provider.RULES and ",
        "",
        TESTS,
    ),
    broken(
        "influence test",
        "a search that raises costs the ticket",
        CHAIN,
        "            apart = withhold_orders(normalised)\n        except Exception:",
        "            apart = withhold_orders(normalised)\n        except ArithmeticError:",
        TESTS,
    ),
    broken(
        "floor",
        "no floor",
        CHAIN,
        "verdict = raise_to_floor(normalised.ticket, verdict)",
        "raise_to_floor(normalised.ticket, verdict)",
        TESTS,
    ),
    broken(
        "floor",
        "the model alone calls the team",
        "jobs/triage/floor.py",
        "return replace(verdict, priority=Priority.HIGH, claimed_critical=True)",
        "return verdict",
        "tests/unit/test_triage_floor.py",
    ),
)
