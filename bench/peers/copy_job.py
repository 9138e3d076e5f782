"""Every table through a pipe of two psql; then the statements that were put off, each list by two connections."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from bench.peers.begin import asked, done, go


def main() -> None:
    order = asked()
    go()
    for table in order["tables"]:
        pipe(order, table)
    for statements in order["then"]:
        build(order["target"], statements)
    done()


def pipe(order: dict[str, Any], table: str) -> None:
    """One table; in libpq's own C on both sides."""
    common = [order["psql"], "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    out = subprocess.Popen(
        [*common, "--dbname", order["legacy"], "--command", f"copy {table} to stdout (format binary)"],
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        [*common, "--dbname", order["target"], "--command", f"copy {table} from stdin (format binary)"],
        stdin=out.stdout, check=True,
    )  # fmt: skip
    if out.wait():
        raise SystemExit("psql could not read from legacy.")


def build(target: str, statements: list[str]) -> None:
    def run(statement: str) -> None:
        with psycopg.connect(target, autocommit=True) as connection:
            connection.execute("set maintenance_work_mem = '256MB'")
            connection.execute(statement.encode())

    with ThreadPoolExecutor(2) as two:
        list(two.map(run, statements))


if __name__ == "__main__":
    main()
