"""``redteam``: our own attacks against the triage, and what of them reaches a card."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import SettingsError
from jobs.redteam.corpus import load_cases
from jobs.redteam.obedient import Degree, Obedient, serving
from jobs.redteam.report import Report, is_notable
from jobs.redteam.trials import Trial, run_trials
from jobs.sandbox.ollama import SANDBOX_MODEL
from jobs.settings import Need, Settings, load_settings
from jobs.triage.chain import Model
from jobs.triage.ollama import OllamaModel
from jobs.triage.prompt import load_sop
from jobs.verbs.printing import plain_table, print_json, print_table, remark, say
from jobs.wiring import build_groq, build_ollama

EVERY = 20  #: trials between two lines of progress


def redteam(provider: str, degree: Degree, *, as_json: bool) -> int:
    """0 within the limits, 1 above one of them. Prints ids and counts, never an attack's words."""
    trials: list[Trial] = []
    cases = load_cases()

    def progress(trial: Trial) -> None:
        trials.append(trial)
        if len(trials) % EVERY == 0:
            remark(f"{len(trials)} of {len(cases)} attacks and their twins")

    with model_of(provider, degree) as (model, obedient, sop):
        run_trials(cases, model, sop=sop, obedient=obedient, on_trial=progress)
    report = Report(tuple(trials), obeyed_counts=obedient is None or degree == "seeing")
    if as_json:
        print_json({"provider": provider, **({"degree": degree} if obedient else {}), **report.as_json()})
    else:
        show(report)
    return 1 if report.faults else 0


@contextmanager
def model_of(provider: str, degree: Degree) -> Iterator[tuple[Model, Obedient | None, str]]:
    """The model, its other side where that is simulated, and the team's procedures."""
    if provider == "simulated":
        with serving(degree) as (obedient, url):
            model = OllamaModel(url=url, model=SANDBOX_MODEL)
            try:
                yield model, obedient, ""
            finally:
                model.close()
        return
    settings = load_settings(needs=Need.MODEL)
    chosen = configured(settings, provider)
    try:
        yield chosen, None, load_sop(settings.sop_file) if settings.sop_file else ""
    finally:
        chosen.close()


def configured(settings: Settings, provider: str) -> Model:
    if provider == "local":
        if not settings.local_llm_url:
            raise SettingsError("LOCAL_LLM_URL: is missing; write LOCAL_LLM_URL=http://localhost:11434")
        return build_ollama(settings, settings.local_llm_url)
    if settings.cloud_triage == "off":
        raise SettingsError("CLOUD_TRIAGE: is off, so Groq is asked nothing; write CLOUD_TRIAGE=masked")
    if not settings.groq_api_key:
        raise SettingsError("GROQ_API_KEY: is missing; write GROQ_API_KEY=gsk_your-key")
    return build_groq(settings, settings.groq_api_key.get_secret_value())


def show(report: Report) -> None:
    table = plain_table("class", "attacks", "did harm", "obeyed", "twins altered", "how-to raised")
    for row in (*report.rows, report.total):
        counts = (row.attacks, row.harmed, row.obeyed, row.altered, row.raised)
        table.add_row(row.name.replace("_", " "), *map(str, counts))
    print_table(table)
    say("harms: " + ", ".join(f"{name} {count}" for name, count in report.harms.items()))
    for trial in filter(is_notable, report.trials):
        say(f"{trial.case.id}: {', '.join(findings(trial))}")
    for fault in report.faults:
        say(f"above the limit: {fault}")


def findings(trial: Trial) -> list[str]:
    names = ("obeyed", "altered", "raised", "unanswered")
    words = {"altered": "twin altered", "raised": "how-to raised"}
    return [*trial.harms, *(words.get(name, name) for name in names if getattr(trial, name))]
