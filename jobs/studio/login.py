"""The login form and its end."""

import math

from flask import Flask, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as AnyResponse

from jobs.studio.access import Access, Brake, LoggedIn, is_token
from jobs.studio.guards import LOGIN_KEY


def add_login(app: Flask, access: Access, logged_in: LoggedIn) -> None:
    brake = Brake()

    def login() -> ResponseReturnValue:
        if access.token is None:
            return redirect(url_for("admin.index"))
        if request.method != "POST":
            return render_template("studio/login.html", line="")
        if seconds := math.ceil(brake.seconds_left()):
            line = f"Too many wrong tokens; wait {seconds} s."
            return render_template("studio/login.html", line=line), 429, {"Retry-After": str(seconds)}
        if not is_token(access.token, request.form.get("token", "")):
            brake.count_failure()
            return render_template("studio/login.html", line="This is not the token."), 401, {}
        # A session of before the login is not the one that is logged in.
        session.clear()
        session[LOGIN_KEY] = logged_in.add()
        return redirect(url_for("admin.index"), 303)

    def logout() -> AnyResponse:
        logged_in.remove(session.get(LOGIN_KEY, ""))
        session.clear()
        return redirect(url_for("login"), 303)

    app.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    app.add_url_rule("/logout", "logout", logout, methods=["POST"])
    app.add_url_rule("/favicon.ico", "favicon", lambda: Response(status=204))
