"""Peers that run on Node: a folder with the peer's files and its packages, where both are to be had."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from psycopg2.extensions import parse_dsn

HERE = Path(__file__).parent


@contextmanager
def node_folder(files: Sequence[str], packages: Sequence[str]) -> Iterator[Path | None]:
    """None without Node or without a registry that has the packages."""
    if not shutil.which("npm"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="node-") as name:
        folder = Path(name)
        for file in files:
            shutil.copy(HERE / file, folder / file)
        (folder / "package.json").write_text('{"type": "module", "private": true}')
        install = ["npm", "install", "--no-fund", "--no-audit", "--silent", *packages]
        failed = subprocess.run(install, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode
        yield None if failed else folder


def libpq_variables(url: str) -> dict[str, str]:
    """node-postgres reads some forms of a URL otherwise than libpq, but the same variables."""
    given = parse_dsn(url)
    names = {name: f"PG{name.upper()}" for name in ("host", "port", "user", "password")}
    names["dbname"] = "PGDATABASE"
    return {variable: given[name] for name, variable in names.items() if given.get(name)}
