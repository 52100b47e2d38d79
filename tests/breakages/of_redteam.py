"""Breakages that the attacks on the whole triage must notice, whatever the controls' own tests say."""

from tests.breakages.breakage import Breakage, Edit, broken

ATTACKS = ("tests/unit/test_redteam.py::test_a_model_that_obeys_the_attacker_does_no_harm",)
SUPPORTED = "jobs/triage/supported.py"
HARMLESS = "jobs/notify/harmless.py"
ALL_SUPPORTED = Edit(SUPPORTED, "return bool(found.keys & self._keys[found.fact])", "return True")

REDTEAM = (
    broken(
        "attacks",
        "nothing raises what the model lowered",
        "jobs/triage/safety.py",
        "return raise_to_floor(normalised.ticket, whole)",
        "return whole",
        *ATTACKS,
    ),
    broken(
        "attacks",
        "a critical without support calls",
        "jobs/triage/floor.py",
        "return replace(verdict, priority=Priority.HIGH, claimed_critical=True)",
        "return verdict",
        *ATTACKS,
    ),
    broken(
        "attacks",
        "the prompt may be repeated",
        "jobs/triage/guards.py",
        "if is_echo(text, sop, known.has):",
        "if not is_echo:",
        *ATTACKS,
    ),
    broken(
        "attacks",
        "mentions are live",
        HARMLESS,
        'text = _BROADCAST.sub("@ ", text)',
        "text = str(text)",
        *ATTACKS,
    ),
    Breakage("attacks", "amounts and dates are never questioned", ATTACKS, (ALL_SUPPORTED,)),
    Breakage(
        "attacks",
        "links are live",
        ATTACKS,
        (ALL_SUPPORTED, Edit(HARMLESS, 'text = _COLON_BEFORE_SLASHES.sub("[:]", text)', "return text")),
    ),
    broken(
        "attacks",
        "harmless answers are marked too",
        "jobs/triage/guards.py",
        "    if counts:\n",
        "    if counts is not None:\n",
        *ATTACKS,
    ),
)
