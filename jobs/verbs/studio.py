"""``studio``: the data browser, on this machine alone unless told otherwise."""

from jobs.errors import SettingsError
from jobs.settings import Need, load_settings
from jobs.studio.access import Access, is_loopback
from jobs.verbs.ledger import require_made
from jobs.verbs.printing import say
from models import schema
from models.database import close_database, open_database

UNGUARDED = (
    "ADMIN_TOKEN: is missing, and --host beyond this machine needs it; "
    "write ADMIN_TOKEN= with a random word of at least 16 characters"
)


def studio(host: str, port: int, *, may_write: bool) -> int:
    """Serve until SIGTERM or Ctrl-C, then 0. SettingsError, InputError and the store's say what is wrong."""
    settings = load_settings(needs=Need.DATABASE)
    token = settings.admin_token.get_secret_value() if settings.admin_token else None
    if token is None and not is_loopback(host):
        raise SettingsError(UNGUARDED)
    require_made(settings)
    open_database(settings.database_url.get_secret_value(), settings.db_pool_size)
    try:
        schema.require_current()
        serve_browser(Access("127.0.0.1" if host == "localhost" else host, token, may_write), port)
    finally:
        close_database()
    return 0


def serve_browser(access: Access, port: int) -> None:
    # Flask and what comes with it take half a second, which settings and database errors need not wait for.
    from jobs.studio.app import build_app
    from jobs.studio.serving import serve

    words = ["takes two edits" if access.may_write else "read-only"]
    words += ["asks for ADMIN_TOKEN"] if access.token else []
    serve(
        build_app(access),
        access.host,
        port,
        lambda url: say(f"the data browser is at {url} ({', '.join(words)}); Ctrl-C ends it"),
    )
