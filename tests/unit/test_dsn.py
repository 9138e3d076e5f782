"""A DSN of another machine means TLS that verifies, unless its owner says otherwise; nothing of it is ever quoted."""

from __future__ import annotations

import certifi
import pytest

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.servers.dsn import PLAINTEXT, hosts, portable, read, secured
from hybrid_sync_cli.stack.authority import Authority

SECRET = "p-w-d"


@pytest.mark.parametrize(
    "place", ["db.example.com", "10.0.0.5", "[2001:db8::1]", "[::ffff:10.0.0.5]", "0.0.0.0", "127.1", "a.com,localhost"]
)
@pytest.mark.parametrize("mode", ["", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_the_way_to_another_machine_is_verified(place: str, mode: str) -> None:
    parts = secured(f"postgresql://u:{SECRET}@{place}/app{mode and f'?sslmode={mode}'}", "legacy")

    assert (parts["sslmode"], parts["sslrootcert"]) == ("verify-full", certifi.where())


@pytest.mark.parametrize("place", ["", "localhost", "127.0.0.1", "127.8.9.10", "[::1]", "%2Fvar%2Frun%2Fpostgresql"])
@pytest.mark.parametrize("mode", ["", "disable", "require"])
def test_this_machine_needs_no_tls(place: str, mode: str) -> None:
    parts = secured(f"postgresql://u:{SECRET}@{place}/app{mode and f'?sslmode={mode}'}", "legacy")

    assert parts.get("sslmode", "") == mode


def test_an_address_counts_more_than_its_name() -> None:
    assert secured("host=localhost hostaddr=10.0.0.5", "legacy")["sslmode"] == "verify-full"


def test_the_environment_may_name_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGSSLMODE", "disable")

    assert secured("dbname=app", "legacy")["sslmode"] == "verify-full"


def test_settings_of_the_environment_are_not_sent_to_a_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")

    assert secured("dbname=app", "legacy")["options"] == ""


def test_tls_switched_off_is_refused_with_the_word_that_allows_it() -> None:
    dsn = f"postgresql://u:{SECRET}@db.example.com/app?sslmode=disable"
    with pytest.raises(ConfigurationMissing, match="--legacy-ca plaintext") as caught:
        secured(dsn, "legacy")
    assert SECRET not in str(caught.value)

    assert secured(dsn, "legacy", PLAINTEXT)["sslmode"] == "disable"
    assert secured(dsn.partition("?")[0], "legacy", PLAINTEXT)["sslmode"] == "disable"
    assert secured(f"{dsn.partition('?')[0]}?sslmode=prefer", "legacy", PLAINTEXT)["sslmode"] == "prefer"


def test_a_ca_asks_for_proof_of_this_machine_too() -> None:
    parts = secured("host=localhost", "target", Authority("A CA").pem)

    assert parts["sslmode"] == "verify-full"
    assert parts["sslrootcert"] != certifi.where()


def test_a_file_of_the_dsn_serves_where_no_ca_is_given() -> None:
    with pytest.raises(ConfigurationMissing, match=r"not here.*install --target-ca FILE"):
        secured("host=db.example.com sslrootcert=/nowhere/ca.crt", "target")

    assert secured(f"host=db.example.com sslrootcert={certifi.where()}", "target")["sslrootcert"] == certifi.where()
    assert secured("host=db.example.com sslrootcert=system", "target")["sslrootcert"] == certifi.where()


@pytest.mark.parametrize("refused", ["options=-csearch_path%3Dx", "service=prod"])
def test_what_poolers_or_other_machines_do_not_understand_is_refused(refused: str) -> None:
    with pytest.raises(ConfigurationMissing, match=r"The target DSN (sets `options`|names a `service`)"):
        secured(f"postgresql://u:{SECRET}@db.example.com/app?{refused}", "target")


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://u:{}@h/app", "postgresql://u:{}@x@h/app", "postgresql://u:{}/x@h/app", "postgresql://u:12/{}@h/app",
        "host=h port={}", "host=h connect_timeout={}", "{}",
    ],
)  # fmt: skip
def test_a_text_that_is_no_dsn_is_not_quoted(wrong: str) -> None:
    with pytest.raises(ConfigurationMissing, match=r"not a PostgreSQL connection string.*percent-encode") as caught:
        secured(wrong.format(SECRET), "legacy")

    assert SECRET not in str(caught.value)


def test_several_hosts_share_a_port_or_have_one_each() -> None:
    assert [host.port for host in hosts(read("host=a,b port=6000", "legacy"))] == [6000, 6000]
    assert [host.port for host in hosts(read("host=a,b port=6000,6001", "legacy"))] == [6000, 6001]
    assert [host.port for host in hosts(read("host=a,b", "legacy"))] == [5432, 5432]


def test_what_lies_on_this_machine_or_is_a_persons_own_goes_to_no_function() -> None:
    files = "sslrootcert=/ca sslcert=/me.crt sslkey=/me.key sslpassword=x sslcrl=/crl sslcrldir=/crls passfile=/.pgpass"
    parts = read(f"host=db.example.com user=postgres sslmode=verify-full {files}", "target")
    assert portable(parts) == {"host": "db.example.com", "user": "postgres", "sslmode": "verify-full"}
