"""A server has to prove by TLS that it is the one that was meant; where it cannot, one sentence says why."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import certifi
import psycopg
import pytest
from moto import mock_aws

from hybrid_sync.errors import ConfigurationMissing, ServerUntrusted, SyncError, TargetUnavailable
from hybrid_sync.pool import Pool
from hybrid_sync.postgres import connect
from hybrid_sync.settings import Settings
from hybrid_sync.wiring import DeployedWorld
from hybrid_sync_cli.stack.authority import Authority, certificate
from tests.conftest import PASSWORD
from tests.servers.tls import NAME, TlsServer


@pytest.fixture
def server(tls_server: TlsServer) -> TlsServer:
    """Each test begins with a good certificate."""
    tls_server.show(tls_server.authority.issue(NAME, "127.0.0.1"))
    return tls_server


def refused(server: TlsServer, ca: str | None = None, dsn: str = "") -> SyncError:
    """What a connection is refused with."""
    with pytest.raises(SyncError) as caught:
        connect(dsn or server.url(), "target", ca or server.authority.pem)
    assert PASSWORD not in str(caught.value)
    return caught.value


def is_encrypted(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    return row == (True,)


@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
def test_a_server_that_the_given_ca_vouches_for_lets_us_in(server: TlsServer, host: str) -> None:
    with connect(server.url(host), "target", server.authority.pem) as connection:
        assert is_encrypted(connection)


def test_a_ca_among_several_is_enough(server: TlsServer) -> None:
    others = Authority("Another CA").pem + Authority("An old CA", days=-10).pem
    with connect(server.url(), "target", others + server.authority.pem) as connection:
        assert is_encrypted(connection)


@pytest.mark.parametrize("ca", ["system", None])
def test_the_public_cas_are_certifis(
    server: TlsServer, ca: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "public.pem").write_text(server.authority.pem, "ascii")
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "public.pem"))
    with connect(server.url(sslmode="verify-full"), "target", ca) as connection:
        assert is_encrypted(connection)


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_a_weaker_mode_in_the_dsn_is_no_way_around_the_proof(server: TlsServer, mode: str) -> None:
    said = refused(server, Authority("Another CA").pem, server.url(sslmode=mode))

    assert isinstance(said, ServerUntrusted)


@pytest.mark.parametrize("ca", ["other", "system"])
def test_an_unknown_root_is_named_with_the_option_that_gives_it(server: TlsServer, ca: str) -> None:
    said = refused(server, Authority("Another CA").pem if ca == "other" else ca)

    assert isinstance(said, ServerUntrusted)
    assert not said.transient
    assert f"of target at {NAME}:{server.cluster.port} is signed by a CA that is not among those given" in str(said)
    assert "--target-ca FILE" in said.remedy


def test_a_self_signed_certificate_is_named(server: TlsServer) -> None:
    server.show(certificate(NAME))

    assert "is self-signed" in str(refused(server))


def test_an_expired_certificate_is_named(server: TlsServer) -> None:
    server.show(server.authority.issue(NAME, days=-1))

    assert "has expired. Renew it on the server" in str(refused(server))


def test_a_wrong_name_is_told_with_the_names_that_the_certificate_has(server: TlsServer) -> None:
    server.show(server.authority.issue("db.elsewhere.test", "10.1.2.3"))

    assert f"is for db.elsewhere.test, 10.1.2.3, and not for {NAME}." in str(refused(server))


def test_a_wrong_address_is_told_with_the_names_that_the_certificate_has(server: TlsServer) -> None:
    server.show(server.authority.issue("db.elsewhere.test"))

    assert "is for db.elsewhere.test, and not for 127.0.0.1." in str(refused(server, dsn=server.url("127.0.0.1")))


def test_a_server_without_tls_is_named_with_the_word_that_allows_it(server: TlsServer) -> None:
    server.switch_off()

    said = refused(server)

    assert f"The server of target at {NAME}:{server.cluster.port} has TLS switched off." in str(said)
    assert "--target-ca plaintext" in said.remedy
    with connect(server.url(), "target", "plaintext") as connection:
        assert not is_encrypted(connection)


def test_each_host_of_several_has_to_prove_itself(server: TlsServer) -> None:
    port = server.cluster.port
    several = (
        f"postgresql://postgres:{PASSWORD}@db.elsewhere.test:{port},{NAME}:{port}/postgres"
        "?hostaddr=127.0.0.1,127.0.0.1&target_session_attrs=read-write"
    )
    with connect(several, "target", server.authority.pem) as connection:
        assert is_encrypted(connection)

    server.switch_off()

    assert "db.elsewhere.test" in str(refused(server, dsn=several))


def test_a_wrong_password_is_told_as_such_over_tls_too(server: TlsServer) -> None:
    said = refused(server, dsn=server.url().replace(PASSWORD, "wrong"))

    assert isinstance(said, TargetUnavailable)
    assert said.remedy == "Check the user and the password in its DSN."


def test_a_ca_that_is_none_is_refused_by_its_name_in_the_secret(server: TlsServer) -> None:
    said = refused(server, "prod-ca.crt")

    assert isinstance(said, ConfigurationMissing)
    assert str(said).startswith("target_ca holds no certificates that can be read.")


def test_functions_trust_the_ca_that_their_secret_holds(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    held = {
        "target_dsn": server.url(), "target_ca": server.authority.pem,
        "legacy_dsn": server.url(), "legacy_ca": Authority("Another CA").pem,
    }  # fmt: skip
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="connections", SecretString=json.dumps(held))
        world = DeployedWorld(
            Settings.from_environment({"HYBRID_SYNC_SECRET": "connections", "CONTROL_TABLE": "control"})
        )
        with world.connect_target() as target:
            assert is_encrypted(target)
        with pytest.raises(ServerUntrusted, match="certificate of legacy at"):
            world.connect_legacy()


def test_a_kept_connection_belongs_to_the_ca_that_proved_it(server: TlsServer) -> None:
    pool = Pool()
    pool.connect(server.url(), "target", server.authority.pem).close()

    with pytest.raises(ServerUntrusted):
        pool.connect(server.url(), "target", Authority("Another CA").pem)
    pool.close()
