"""`install` prepares a target and fills a deployment's secret, without printing what is secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hybrid_sync.postgres import connect
from hybrid_sync_cli.stack.authority import Authority
from tests.cli.conftest import Command
from tests.conftest import PASSWORD
from tests.servers.tls import NAME, TlsServer


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Secrets Manager in this process."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager")


def test_the_functions_dsns_go_into_the_secret_and_the_rest_of_it_stays(
    hybrid_sync: Command, secrets: Any, target_db: str
) -> None:
    # A worker that is at work keeps its password.
    held = {"id_secret": "keep me", "target_dsn": make_conninfo(target_db, user="x", password=PASSWORD)}
    arn = secrets.create_secret(Name="connections", SecretString=json.dumps(held))["ARN"]
    legacy = "postgresql://reader:pw@legacy.example.com/app"

    said = hybrid_sync("install", "--target-dsn", target_db, "--legacy-dsn", legacy, "--secret", arn)

    assert said.status == 0, said.err
    assert PASSWORD not in said.out + said.err
    filled = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert (filled["id_secret"], filled["legacy_dsn"]) == ("keep me", legacy)
    worker = conninfo_to_dict(filled["target_dsn"])
    assert (worker["user"], worker["password"]) == ("hybrid_sync_worker", PASSWORD)
    with psycopg.connect(filled["target_dsn"]) as connection:
        assert connection.execute("select count(*) from hybrid_sync.run").fetchone() == (0,)


def test_whose_people_may_sign_in_goes_into_the_secret_and_stays(
    hybrid_sync: Command, secrets: Any, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"target_dsn": make_conninfo(target_db, user="x", password=PASSWORD)}
    arn = secrets.create_secret(Name="connections", SecretString=json.dumps(held))["ARN"]
    monkeypatch.setenv("HYBRID_SYNC_SUPABASE_JWT_SECRET", "shared by the project")
    for words in (("--supabase-url", "https://abc.supabase.co/"), ()):
        said = hybrid_sync("install", "--target-dsn", target_db, "--secret", arn, *words)
        assert said.status == 0, said.err
        assert "shared by the project" not in said.out + said.err
        filled = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
        assert filled["supabase_url"] == "https://abc.supabase.co"
        assert filled["supabase_jwt_secret"] == "shared by the project"
        monkeypatch.delenv("HYBRID_SYNC_SUPABASE_JWT_SECRET", raising=False)

    said = hybrid_sync(
        "install", "--target-dsn", target_db, "--secret", arn, "--supabase-url", "http://abc.supabase.co"
    )
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "is no address of a Supabase project. Write https://<ref>.supabase.co." in said.err
    said = hybrid_sync("install", "--target-dsn", target_db, "--supabase-url", "https://abc.supabase.co")
    assert "give --stack or --secret, too" in said.err


def test_a_secret_that_is_not_there_leaves_the_target_alone(hybrid_sync: Command, secrets: Any, target_db: str) -> None:
    said = hybrid_sync("install", "--target-dsn", target_db, "--secret", "nowhere")

    assert said.status == 1
    assert said.err.startswith("hybrid-sync: The secret cannot be read (ResourceNotFoundException): check --secret")
    with psycopg.connect(target_db) as connection:
        assert connection.execute("select to_regnamespace('hybrid_sync')").fetchone() == (None,)


def test_a_secret_without_a_target_is_one_sentence(hybrid_sync: Command) -> None:
    said = hybrid_sync("install", "--secret", "connections")

    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "--target-dsn" in said.err


def test_the_cas_go_into_the_secret_as_text_and_their_end_is_told(
    hybrid_sync: Command, secrets: Any, target_db: str, tmp_path: Path
) -> None:
    held = {"target_dsn": make_conninfo(target_db, user="x", password=PASSWORD)}
    arn = secrets.create_secret(Name="connections", SecretString=json.dumps(held))["ARN"]
    bundle = Authority("The CA").pem + Authority("The next CA", days=20).pem + Authority("The last CA", days=-1).pem
    (tmp_path / "rds-bundle.pem").write_text(bundle, "ascii")
    legacy = f"postgresql://reader:pw@legacy.example.com/app?sslrootcert={tmp_path / 'rds-bundle.pem'}"

    said = hybrid_sync("install", "--target-dsn", target_db, "--legacy-dsn", legacy, "--secret", arn)

    assert said.status == 0, said.err
    told, warned = said.err.splitlines()
    assert told.startswith("legacy CA: 2 CA certificates, the first valid until 20")
    assert told.endswith("(1 more have expired).")
    assert warned == "Warning: that is in 19 days; give the next CA before: --legacy-ca FILE."
    filled = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert filled["legacy_ca"] == bundle
    assert "target_ca" not in filled
    assert conninfo_to_dict(filled["legacy_dsn"]) == conninfo_to_dict("postgresql://reader:pw@legacy.example.com/app")

    again = hybrid_sync("install", "--target-dsn", target_db, "--legacy-ca", "system", "--secret", arn)

    assert again.status == 0, again.err
    kept = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert kept == {**filled, "legacy_ca": "system"}


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--target-ca", "no certificate", "holds no certificates that can be read."),
        ("--legacy-ca", Authority("The last CA", days=-1).pem, "holds no CA that is still valid: the last ended on "),
        ("--legacy-ca", None, "cannot be read as text: name a PEM file, system or plaintext."),
    ],
)
def test_a_ca_that_cannot_serve_is_refused_before_anything_is_done(
    hybrid_sync: Command, secrets: Any, target_db: str, tmp_path: Path, option: str, content: str | None, said: str
) -> None:
    arn = secrets.create_secret(Name="connections", SecretString="{}")["ARN"]
    if content is not None:
        (tmp_path / "ca.crt").write_text(content, "ascii")

    answered = hybrid_sync("install", "--target-dsn", target_db, option, str(tmp_path / "ca.crt"), "--secret", arn)

    assert (answered.status, answered.err.count("\n")) == (1, 1)
    assert said in answered.err
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "{}"


@pytest.mark.parametrize(
    ("legacy", "said"),
    [
        ("postgresql://reader:pw@legacy.example.com/app?sslmode=disable", "--legacy-ca plaintext"),
        (
            "postgresql://reader:pw@legacy.example.com/app?options=-cx%3Dy",
            "sets `options`, which connection poolers refuse",
        ),
        ("postgresql://reader:pw@db.abcdefgh.supabase.co/postgres", "IPv6 only unless the project has the IPv4 add-on"),
    ],
)
def test_a_legacy_that_functions_may_not_or_cannot_reach_is_refused_before_anything_is_done(
    hybrid_sync: Command, secrets: Any, target_db: str, legacy: str, said: str
) -> None:
    arn = secrets.create_secret(Name="connections", SecretString="{}")["ARN"]

    answered = hybrid_sync("install", "--target-dsn", target_db, "--legacy-dsn", legacy, "--secret", arn)

    assert answered.status == 1
    assert said in answered.err
    assert ":pw@" not in answered.err
    with psycopg.connect(target_db) as connection:
        assert connection.execute("select to_regnamespace('hybrid_sync')").fetchone() == (None,)


def test_what_does_not_fit_into_a_secret_is_said_before_anything_is_done(
    hybrid_sync: Command, secrets: Any, target_db: str, tmp_path: Path
) -> None:
    arn = secrets.create_secret(Name="connections", SecretString="{}")["ARN"]
    (tmp_path / "global-bundle.pem").write_text(Authority("The CA").pem * 150, "ascii")

    said = hybrid_sync(
        "install", "--target-dsn", target_db, "--legacy-ca", str(tmp_path / "global-bundle.pem"), "--secret", arn
    )

    assert said.status == 1
    assert "KB and can have 64. Name CA files with fewer certificates" in said.err
    with psycopg.connect(target_db) as connection:
        assert connection.execute("select to_regnamespace('hybrid_sync')").fetchone() == (None,)


def test_a_target_is_prepared_over_tls_that_the_given_ca_proves(
    hybrid_sync: Command, secrets: Any, tls_server: TlsServer, tmp_path: Path
) -> None:
    tls_server.show(tls_server.authority.issue(NAME))
    arn = secrets.create_secret(Name="connections", SecretString="{}")["ARN"]
    for name, authority in (("prod-ca.crt", tls_server.authority), ("other-ca.crt", Authority("Another CA"))):
        (tmp_path / name).write_text(authority.pem, "ascii")
    install = ("install", "--target-dsn", tls_server.url(), "--secret", arn, "--target-ca")

    refused = hybrid_sync(*install, str(tmp_path / "other-ca.crt"))

    assert refused.status == 1
    told, reason = refused.err.splitlines()
    assert told.startswith("target CA: 1 CA certificate valid until")
    assert reason.startswith(f"hybrid-sync: The certificate of target at {NAME}:{tls_server.cluster.port} is signed by")
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "{}"

    said = hybrid_sync(*install, str(tmp_path / "prod-ca.crt"))

    assert said.status == 0, said.err
    assert PASSWORD not in said.out + said.err
    filled = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert filled["target_ca"] == tls_server.authority.pem
    with connect(filled["target_dsn"], "target", filled["target_ca"]) as connection:
        assert connection.execute("select count(*) from hybrid_sync.run").fetchone() == (0,)


def test_the_catalog_is_checked_over_tls_too(hybrid_sync: Command, tls_server: TlsServer, tmp_path: Path) -> None:
    tls_server.show(tls_server.authority.issue("db.elsewhere.test"))
    (tmp_path / "ca.crt").write_text(tls_server.authority.pem, "ascii")

    said = hybrid_sync("catalog", "check", "--legacy-dsn", tls_server.url(), "--legacy-ca", str(tmp_path / "ca.crt"))

    assert said.status == 1
    assert f"is for db.elsewhere.test, and not for {NAME}." in said.err


def test_a_database_of_ones_own_has_to_prove_itself_to_the_stack(hybrid_sync: Command, tls_server: TlsServer) -> None:
    tls_server.show(tls_server.authority.issue(NAME))

    said = hybrid_sync("up", "--legacy-dsn", tls_server.url(sslmode="verify-full"))

    assert said.status == 1
    assert "is signed by a CA that is not among those given" in said.err
    assert PASSWORD not in said.err
