"""What keeps us out of a database: whether waiting can cure it, and what to look at; in libpq's and psycopg's words."""

from __future__ import annotations

import psycopg
import pytest

from hybrid_sync.servers.refused import refused

PARTS = {"host": "db.example.org", "port": "5432", "dbname": "app", "user": "worker", "sslmode": "disable"}
AT = 'connection failed: connection to server at "192.0.2.7", port 5432 failed: '

FOR_A_PERSON = {
    "failed to resolve host 'db.example.org': [Errno -2] Name or service not known": "leads nowhere",
    "failed to resolve host 'db.example.org': [Errno -5] No address associated with hostname": "leads nowhere",
    'could not translate host name "db" to address: nodename nor servname provided, or not known': "leads nowhere",
    f"{AT}received invalid response to SSL negotiation: H": "no PostgreSQL",
    f'{AT}FATAL:  database "app" does not exist': "database name",
    f'{AT}FATAL:  password authentication failed for user "worker"': "password",
    f'{AT}FATAL:  no pg_hba.conf entry for host "192.0.2.9", user "worker", database "app"': "connect to that database",
}
CURED_BY_TIME = (
    "failed to resolve host 'db.example.org': [Errno -3] Temporary failure in name resolution",
    f"{AT}Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
    f"{AT}FATAL:  the database system is starting up",
    "connection timeout expired",
)


@pytest.mark.parametrize(("said", "advice"), FOR_A_PERSON.items())
def test_what_waiting_does_not_cure_asks_for_a_person_at_once(said: str, advice: str) -> None:
    why = refused("legacy", PARTS, psycopg.OperationalError(said))
    assert (why.needs_person, why.code) == (True, "legacy_unavailable")
    assert advice in why.remedy


@pytest.mark.parametrize("said", CURED_BY_TIME)
def test_what_may_pass_is_waited_for(said: str) -> None:
    assert not refused("target", PARTS, psycopg.OperationalError(said)).needs_person
