"""What a session of PostgreSQL is given: limits, a name, encryption; and who is in the way of it."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.setting_checks import check_database_url
from jobs.web.metrics import CountedObservations
from models.cursors import take_lease
from models.database import (
    close_database,
    connection,
    database,
    open_database,
    pool_use,
    read_clock,
    rerun_on_conflict,
    transaction,
)
from models.errors import StoreUnreachable
from models.migration_runner import invalid_indexes, waiting_for_locks
from models.postgres import UNHURRIED, Limits
from models.schema import deploy_migrations
from tests.conftest import connect
from tests.fakes.postgres_proxy import postgres_proxy

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
STANDARD = ("30s", "10s", "30s")


def shown(*names: str) -> tuple[str, ...]:
    return tuple(str(database.execute_sql(f"SHOW {name}").fetchone()[0]) for name in names)


def with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def test_every_statement_has_its_limits_and_the_session_our_name(new_postgres: Callable[..., str]) -> None:
    open_database(new_postgres())
    with connection():
        assert shown(*LIMITS) == STANDARD
        assert shown("application_name") == ("hubspot-support-triage",)
        with transaction():
            assert shown(*LIMITS) == STANDARD
    close_database()


def test_what_the_url_asks_for_counts(new_postgres: Callable[..., str]) -> None:
    asked = "application_name=night&options=-c%20statement_timeout%3D5s%20-c%20work_mem%3D8MB"
    open_database(with_query(new_postgres(), asked))
    with connection():
        assert shown("application_name", "statement_timeout", "work_mem") == ("night", "5s", "8MB")
    close_database()


def test_where_options_are_refused_transactions_have_the_limits(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    """PgBouncer refuses them; it takes what ends with a transaction, and it knows the session's name."""
    url = new_postgres()
    with postgres_proxy(server_url, refuses_options=True) as proxy:
        name = url.partition("?")[0].rsplit("/", 1)[1]
        open_database(proxy.url_of(name))
        with connection():
            assert shown("statement_timeout", "application_name") == ("0", "hubspot-support-triage")
            with transaction():
                assert shown(*LIMITS) == STANDARD
        refused = ["options" in startup for startup in proxy.startups]
        assert refused == [True, False], "it is asked once"
        close_database()
        with pytest.raises(StoreUnreachable):
            open_database(proxy.url_of(name, "options=-c%20search_path%3Dtriage"))
        close_database()


def test_a_statement_that_takes_too_long_is_ended_and_named(new_postgres: Callable[..., str]) -> None:
    open_database(new_postgres(), limits=Limits(statement=1))
    with pytest.raises(StoreUnreachable, match="statement timeout"), connection():
        database.execute_sql("SELECT pg_sleep(20)")
    assert read_clock()
    close_database()


def test_who_waits_too_long_for_a_lock_runs_again(new_postgres: Callable[..., str]) -> None:
    open_database(url := new_postgres(), limits=Limits(lock=1))
    deploy_migrations()
    take_lease("poll", "one", 60)
    session = connect(url)
    session.cursor().execute("BEGIN; UPDATE poll_cursors SET lease_owner = 'another'")
    tries: list[int] = []

    @rerun_on_conflict
    def take() -> int:
        tries.append(1)
        if len(tries) == 2:
            session.cursor().execute("ROLLBACK")
        return int(database.execute_sql("UPDATE poll_cursors SET lease_owner = 'two'").rowcount)

    assert take()
    assert len(tries) == 2
    session.close()
    close_database()


def test_a_migration_may_take_its_time_but_blocks_nobody_behind_it(new_postgres: Callable[..., str]) -> None:
    """An ALTER TABLE that waits for a lock has everybody wait who comes after it."""
    open_database(url := new_postgres())
    deploy_migrations()
    close_database()
    open_database(url, limits=UNHURRIED)
    with connection():
        assert shown(*LIMITS) == ("0", "10s", "30s")
    close_database()


def test_connections_of_a_pool_are_as_many_as_asked_for(new_postgres: Callable[..., str]) -> None:
    open_database(new_postgres(), pool_size=3)
    held, over = threading.Barrier(4, timeout=30), threading.Event()

    def hold() -> int:
        with connection():
            database.execute_sql("SELECT 1")
            held.wait()
            over.wait(30)
            return 1

    with ThreadPoolExecutor(3) as threads:
        holders = [threads.submit(hold) for _ in range(3)]
        held.wait()
        assert pool_use() == (3, 3)
        over.set()
        assert sum(one.result() for one in holders) == 3
    assert pool_use() == (0, 3)
    close_database()


def test_the_metrics_show_how_much_of_the_pool_is_in_use(store_url: str) -> None:
    registry = CountedObservations().registry
    with connection():
        in_use = registry.get_sample_value("triage_database_pool", {"of": "in_use"})
    assert (in_use, registry.get_sample_value("triage_database_pool", {"of": "size"})) == (1, 12)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by itself, with ``key.pem`` beside it; ``another.pem`` is somebody else's."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=triage"]
    for key, made in (("another-key.pem", "another.pem"), ("key.pem", "certificate.pem")):
        whose = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made]
        subprocess.run([*request, *whose], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "certificate.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def test_a_session_is_encrypted_and_the_servers_certificate_checked_as_the_url_says(
    server_url: str, new_postgres: Callable[..., str], certificate: Path, tls: ssl.SSLContext
) -> None:
    name = new_postgres().partition("?")[0].rsplit("/", 1)[1]
    with postgres_proxy(server_url, tls) as proxy:
        for query in ("sslmode=require", f"sslmode=verify-full&sslrootcert={certificate}"):
            open_database(proxy.url_of(name, query))
            with connection():
                assert database.connection().info.ssl_in_use
            close_database()
        assert proxy.encrypted == 2
        wrong = {
            f"sslmode=verify-full&sslrootcert={certificate.with_name('another.pem')}": "vouches for",
            f"sslmode=verify-full&sslrootcert={certificate.with_name('none.pem')}": "names no file with a",
            f"sslmode=verify-full&sslrootcert={certificate.with_name('key.pem')}": "names no file with a",
        }
        for query, told in wrong.items():
            with pytest.raises(StoreUnreachable, match=told):
                open_database(proxy.url_of(name, query))
            close_database()


def test_a_certificate_of_another_host_is_told(
    server_url: str, new_postgres: Callable[..., str], certificate: Path, tls: ssl.SSLContext
) -> None:
    name = new_postgres().partition("?")[0].rsplit("/", 1)[1]
    with postgres_proxy(server_url, tls) as proxy:
        url = proxy.url_of(name, f"sslmode=verify-full&sslrootcert={certificate}")
        with pytest.raises(StoreUnreachable, match="for another host"):
            open_database(url.replace("127.0.0.1", "localhost"))
        close_database()


def test_a_server_that_cannot_encrypt_is_not_used_where_the_url_requires_it(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    name = new_postgres().partition("?")[0].rsplit("/", 1)[1]
    with postgres_proxy(server_url) as proxy:
        with pytest.raises(StoreUnreachable, match="the server has no TLS and sslmode requires it"):
            open_database(proxy.url_of(name, "sslmode=require"))
        assert proxy.startups == [], "nothing was said in the clear"
        close_database()


def test_of_several_hosts_the_one_that_takes_writes_is_used(
    server_url: str, new_postgres: Callable[..., str]
) -> None:
    """A failover needs no new URL where it names both servers."""
    name = new_postgres().partition("?")[0].rsplit("/", 1)[1]
    with postgres_proxy(server_url) as proxy:
        hosts = f"127.0.0.1:1,127.0.0.1:{proxy.port}"
        url = f"postgresql://postgres@{hosts}/{name}?target_session_attrs=read-write"
        assert check_database_url(url) == url
        open_database(url)
        assert read_clock()
        close_database()


@pytest.mark.parametrize("asked", ["statement_timeout=90s", "statement-timeout=90s"])
def test_a_limit_that_the_url_names_counts_in_transactions_too(
    new_postgres: Callable[..., str], asked: str
) -> None:
    open_database(with_query(new_postgres(), f"options=-c%20{asked.replace('=', '%3D')}"))
    with connection(), transaction():
        assert shown("statement_timeout", "lock_timeout") == ("90s", "10s")
    close_database()


def test_a_setting_of_a_longer_name_takes_no_limit_away(new_postgres: Callable[..., str]) -> None:
    open_database(with_query(new_postgres(), "options=-c%20deadlock_timeout%3D2s"))
    with connection():
        assert shown("deadlock_timeout", "lock_timeout") == ("2s", "10s")
    close_database()


def test_the_environments_options_are_kept(
    new_postgres: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another search_path would be another ledger."""
    monkeypatch.setenv("PGOPTIONS", "-c search_path=triage")
    open_database(new_postgres())
    with connection():
        assert shown("search_path", *LIMITS) == ("triage", *STANDARD)
    close_database()


def test_a_concurrent_index_waits_for_older_snapshots(
    new_postgres: Callable[..., str], tmp_path: Path
) -> None:
    """A backup holds one for longer than any lock may take; the failed index would stay behind."""
    open_database(url := new_postgres(), limits=Limits(statement=0, lock=1))
    deploy_migrations()
    reader = connect(url)
    reader.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM processed_tickets")
    ended = threading.Timer(3, lambda: reader.cursor().execute("ROLLBACK"))
    ended.start()
    with connection(), waiting_for_locks(database):
        database.execute_sql("CREATE INDEX CONCURRENTLY late ON processed_tickets (model)")
        assert shown("lock_timeout") == ("0",)
    with connection():
        assert shown("lock_timeout") == ("1s",)
        assert invalid_indexes(database) == []
    ended.join()
    reader.close()
    close_database()
