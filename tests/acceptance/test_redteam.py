"""``redteam`` as a person and a machine run it."""

from jobs.redteam.corpus import load_cases
from tests.acceptance.conftest import Bench


def test_without_settings_the_obedient_model_is_attacked_and_nothing_gets_through(
    sqlite_bench: Bench,
) -> None:
    done = sqlite_bench.run(
        "redteam", "--json", LOCAL_LLM_URL="", DISCORD_WEBHOOK_URL="", HUBSPOT_ACCESS_TOKEN=""
    )
    assert done.code == 0, done.err
    assert (done.json["provider"], done.json["degree"]) == ("simulated", "seeing")
    assert set(done.json["harms"].values()) == {0}
    assert done.json["all"]["attacks"] == len(load_cases())
    assert sqlite_bench.ollama.chats == []


def test_a_provider_is_attacked_through_its_own_settings(sqlite_bench: Bench) -> None:
    done = sqlite_bench.run("redteam", "--provider", "local")
    assert done.code == 0, done.out
    assert "harms: lowered 0, live link 0, ping 0, prompt text 0, amount or date 0" in done.out
    assert len(sqlite_bench.ollama.chats) >= 2 * len(load_cases())
    assert f"of {len(load_cases())} attacks and their twins" in done.err
    assert all(character.isprintable() or character == "\n" for character in done.out)


def test_a_provider_that_answers_nothing_proves_nothing(sqlite_bench: Bench) -> None:
    sqlite_bench.ollama.faults.status = 500
    done = sqlite_bench.run("redteam", "--provider", "local")
    assert done.code == 1
    assert "were not answered by the model, so they prove nothing" in done.out


def test_a_provider_without_settings_or_with_a_degree_is_a_misuse(sqlite_bench: Bench) -> None:
    assert sqlite_bench.run("redteam", "--provider", "groq").code == 2
    off = sqlite_bench.run("redteam", "--provider", "groq", GROQ_API_KEY="gsk_x", CLOUD_TRIAGE="off")
    assert (off.code, sqlite_bench.vendors.groq.requests_seen) == (2, [])
    done = sqlite_bench.run("redteam", "--provider", "local", "--degree", "knowing")
    assert (done.code, done.out) == (2, "")
