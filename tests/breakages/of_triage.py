"""Breakages of what keeps a model's advice safe, whatever the ticket told the model."""

from tests.breakages.breakage import broken

SAFETY = "jobs/triage/safety.py"
STEERING = "jobs/triage/steering.py"
TESTS = "tests/unit/test_triage_steering.py"
GUARDS = "tests/unit/test_triage_guards.py"

TRIAGE = (
    broken(
        "influence test",
        "orders are read once",
        SAFETY,
        "    safer = take_safer(whole, decide(apart))\n",
        "    safer = whole\n",
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
        SAFETY,
        "        apart = withhold_orders(normalised)\n    except Exception:",
        "        apart = withhold_orders(normalised)\n    except ArithmeticError:",
        TESTS,
    ),
    broken(
        "guards",
        "answers are not guarded",
        SAFETY,
        "    return guarded.verdict\n",
        "    return verdict\n",
        GUARDS,
    ),
    broken(
        "guards",
        "a guard that raises costs the ticket",
        SAFETY,
        "company_name=care.company_name)\n    except Exception:",
        "company_name=care.company_name)\n    except ArithmeticError:",
        GUARDS,
    ),
    broken(
        "guards",
        "what the ticket says is no support",
        "jobs/triage/supported.py",
        "return bool(found.keys & self._keys[found.fact])",
        "return False",
        GUARDS,
    ),
    broken(
        "guards",
        "every amount is supported",
        "jobs/triage/supported.py",
        "return bool(found.keys & self._keys[found.fact])",
        "return True",
        GUARDS,
    ),
    broken(
        "floor",
        "no floor",
        SAFETY,
        "return raise_to_floor(normalised.ticket, whole)",
        "return whole",
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
