"""Breakages of the rules that make hostile tickets harmless."""

from tests.breakages.breakage import broken

TESTS = "tests/unit/test_intake.py"

INTAKE = (
    broken(
        "normalised input",
        "what is hidden is read",
        "jobs/intake/styles.py",
        '    if "hidden" in attributes:\n        return None\n',
        "",
        TESTS,
    ),
    broken(
        "normalised input",
        "white on white is read",
        "jobs/intake/styles.py",
        "return self.tiny or self.invisible or self._is_camouflaged()",
        "return self.tiny or self.invisible",
        TESTS,
    ),
    broken(
        "normalised input",
        "what decoding brings back is left",
        "jobs/intake/normalise.py",
        "    read = decoded(text)\n",
        "    read = text\n",
        TESTS,
    ),
    broken(
        "normalised input",
        "a tree is built of any depth",
        "jobs/intake/markup.py",
        "        if len(self._open) > DEEPEST:\n            raise TooDeep\n",
        "",
        TESTS,
    ),
    broken(
        "normalised input",
        "a step that raises costs the ticket",
        "jobs/intake/normalise.py",
        "    except Exception:  # noqa: BLE001 - whatever it is, a ticket gets its card\n",
        "    except ArithmeticError:\n",
        TESTS,
    ),
    broken(
        "normalised input",
        "models read the ticket as it came",
        "jobs/triage/safety.py",
        "    whole = decide(normalised.ticket)\n",
        '    whole = decide(replace(normalised.ticket, body=""))\n',
        "tests/unit/test_triage_chain.py",
    ),
    broken(
        "normalised input",
        "what a mail quotes leaves unmasked",
        "jobs/triage/masking.py",
        '    *("pipeline", "priority", "category", "rest"),\n',
        '    *("pipeline", "priority", "category"),\n',
        "tests/unit/test_triage_chain.py",
    ),
)
