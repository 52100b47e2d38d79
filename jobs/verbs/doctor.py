"""``doctor``: one line for each thing that the product needs, and what to mend."""

from jobs.examine_setup import examine_setup
from jobs.finding import exit_code_of
from jobs.logs import start_logging
from jobs.verbs.printing import print_json, say


def examine(*, send_test_card: bool, as_json: bool) -> int:
    """0 all well, 1 something is out of reach, 2 a setting is to be mended."""
    start_logging("ERROR")
    findings = []
    for finding in examine_setup(send_test_card=send_test_card):
        findings.append(finding)
        if not as_json:
            say(f"{finding.shown_level:<5} {finding.name}: {finding.line}")
    code = exit_code_of(findings)
    if as_json:
        print_json({"ok": code == 0, "findings": [finding.as_json() for finding in findings]})
    return code
