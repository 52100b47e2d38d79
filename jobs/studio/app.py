"""The data browser as a WSGI application."""

import secrets
from pathlib import Path

from flask import Flask
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme

from jobs.studio.access import Access, LoggedIn
from jobs.studio.faults import add_fault_pages
from jobs.studio.forms import EDITS
from jobs.studio.guards import add_guards, csrf_token
from jobs.studio.login import add_login
from jobs.studio.tables import TABLES
from jobs.studio.views import TablesView, TableView


def build_app(access: Access) -> Flask:
    """Asks the database in requests only. Sessions end with the process: their key is made here."""
    app = Flask("studio", root_path=str(Path(__file__).parent), static_folder=None)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(
        # Cookies know no ports: each of two browsers on one machine needs a name of its own.
        SESSION_COOKIE_NAME=f"studio-{secrets.token_hex(4)}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    app.jinja_env.globals.update(csrf_token=csrf_token, access=access)
    logged_in, edits = LoggedIn(), EDITS if access.may_write else {}
    writable = frozenset({"login", "logout", *(f"{name}.edit_view" for name in edits)})
    add_guards(app, access, logged_in, writable)
    add_login(app, access, logged_in)
    add_fault_pages(app)

    theme = Bootstrap4Theme(base_template="studio/base.html", fluid=True)
    index = TablesView(name="tables", url="/")
    admin = Admin(app, name="support triage", index_view=index, theme=theme)
    for table in TABLES:
        admin.add_view(TableView(table, edits.get(table.name)))
    return app
