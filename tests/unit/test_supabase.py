"""Supabase's addresses: functions get the one that they can reach, in the form that its pooler takes."""

from __future__ import annotations

import pytest

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.servers import supabase
from hybrid_sync.servers.dsn import read

REF = "abcdefghijklmnopqrst"
DIRECT = f"postgresql://postgres:pw@db.{REF}.supabase.co:5432/postgres"
POOLER = "aws-0-eu-central-1.pooler.supabase.com"


def worker_way(admin: str, pooler: str | None = None, *, ipv6: bool = False) -> tuple[str, ...]:
    """User, host and port of the functions, for an admin's DSN."""
    worker = supabase.as_role(read(admin, "target"), "hybrid_sync_worker", "secret")
    parts = supabase.for_functions(worker, "target", pooler, ipv6=ipv6)
    return tuple(parts.get(name, "") for name in ("user", "host", "port"))


@pytest.mark.parametrize("port", ["", ":5432", ":6543"])
@pytest.mark.parametrize("host", [POOLER, "aws-1-us-east-2.pooler.supabase.com"])
def test_through_the_pooler_the_worker_names_the_project_and_uses_transaction_mode(host: str, port: str) -> None:
    admin = f"postgresql://postgres.{REF}:pw@{host}{port}/postgres"

    assert worker_way(admin) == (f"hybrid_sync_worker.{REF}", host, "6543")


def test_the_direct_address_is_refused_with_the_reason_and_the_form_to_write() -> None:
    with pytest.raises(ConfigurationMissing) as caught:
        worker_way(DIRECT)

    assert "IPv6 only unless the project has the IPv4 add-on, and Lambda outside a VPC has no IPv6" in str(caught.value)
    assert "--pooler aws-0-<region>.pooler.supabase.com:6543" in caught.value.remedy
    assert "--ipv6" in caught.value.remedy


@pytest.mark.parametrize(("given", "port"), [(POOLER, "6543"), (f"{POOLER}:6543", "6543"), (f"{POOLER}:5432", "5432")])
def test_an_admin_may_go_directly_and_the_functions_by_the_pooler(given: str, port: str) -> None:
    assert worker_way(DIRECT, given) == (f"hybrid_sync_worker.{REF}", POOLER, port)


def test_functions_with_ipv6_may_go_directly() -> None:
    assert worker_way(DIRECT, ipv6=True) == ("hybrid_sync_worker", f"db.{REF}.supabase.co", "5432")


def test_a_pooler_of_somebody_else_is_refused() -> None:
    with pytest.raises(ConfigurationMissing, match="--pooler is not the address of Supabase's pooler"):
        worker_way(DIRECT, "pooler.example.com:6543")


def test_a_user_without_its_project_is_refused() -> None:
    with pytest.raises(ConfigurationMissing, match=r"does not name the project.*<role>\.<project ref>"):
        worker_way(f"postgresql://postgres:pw@{POOLER}/postgres")


def test_other_hosts_stay_as_they_are() -> None:
    assert worker_way("postgresql://a.b:pw@db.example.com:6000/x") == ("hybrid_sync_worker", "db.example.com", "6000")


def test_a_legacy_on_supabase_is_told_its_own_form() -> None:
    legacy = read(f"postgresql://reader:pw@db.{REF}.supabase.co/postgres", "legacy")
    with pytest.raises(ConfigurationMissing, match=rf"write reader\.{REF} as the user"):
        supabase.for_functions(legacy, "legacy")


@pytest.mark.parametrize("dsn", [DIRECT, f"postgresql://postgres.{REF}:pw@{POOLER}:6543/postgres"])
def test_a_dsn_names_the_project_whose_people_may_sign_in(dsn: str) -> None:
    assert supabase.project_url(read(dsn, "target")) == f"https://{REF}.supabase.co"


def test_another_database_names_no_project() -> None:
    assert supabase.project_url(read("postgresql://postgres:pw@db.example.com/postgres", "target")) is None
