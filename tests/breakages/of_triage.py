"""Breakages of what keeps a model's advice safe, whatever the ticket told the model."""

from tests.breakages.breakage import broken

SAFETY = "jobs/triage/safety.py"
STEERING = "jobs/triage/steering.py"
TESTS = "tests/unit/test_triage_steering.py"
GUARDS = "tests/unit/test_triage_guards.py"
FLOOR = "tests/unit/test_triage_floor.py"
CHAIN = "jobs/triage/chain.py"
MASKING = "jobs/triage/masking.py"
MASKS = "tests/unit/test_triage_masking.py"

TRIAGE = (
    broken(
        "floor",
        "rules that could not be read leave a ticket as low as a model said",
        SAFETY,
        "priority=Priority.HIGH, claimed",
        "claimed",
        GUARDS,
    ),
    broken(
        "guards",
        "a version that the ticket names is a day",
        "jobs/triage/supported.py",
        "                yield from numbers_like_days(text)\n",
        "                yield from ()\n",
        GUARDS,
    ),
    broken(
        "guards",
        "the time that a customer waited may be promised",
        "jobs/triage/supported.py",
        "times_to_wait(self._sop)",
        'times_to_wait(" ".join(self._texts))',
        GUARDS,
    ),
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
        FLOOR,
    ),
    broken(
        "floor",
        "a model answers security tickets",
        "jobs/triage/floor.py",
        "    if raised.recommended_internal_action is SECURITY:\n",
        "    if raised.recommended_internal_action is None:\n",
        FLOOR,
    ),
    broken(
        "masking",
        "the cloud reads the ticket as it is",
        CHAIN,
        "partial(self._build, masked.ticket)",
        "partial(self._build, ticket)",
        f"{MASKS}::test_a_cloud_model_sees_placeholders_and_the_verdict_shows_the_values",
    ),
    broken(
        "masking",
        "a ticket that could not be masked leaves",
        CHAIN,
        "        fault = type(exc).__name__\n",
        "        fault = type(exc).__name__\n        return Masked(ticket, {})\n",
        f"{MASKS}::test_where_masking_fails_nothing_is_sent_and_the_next_is_asked",
    ),
    broken(
        "masking",
        "keys and passwords are not looked for",
        MASKING,
        "    _take_secrets(texts.values(), plain_words=True)\n",
        "",
        f"{MASKS}::test_a_key_is_known_by_its_form",
    ),
    broken(
        "masking",
        "cards, keys and passwords come back",
        MASKING,
        "= NEVER_RESTORED.get(kind, value)",
        "= value",
        f"{MASKS}::test_cards_keys_and_passwords_never_come_back",
    ),
    broken(
        "masking",
        "a card shows the secrets that the customer or a local model wrote",
        "jobs/without_secrets.py",
        "return hide_secrets(ticket, verdict)",
        "return ticket, verdict",
        "tests/acceptance/test_privacy.py",
    ),
)
