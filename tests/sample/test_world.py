"""The generator makes the same world from the same seed, with exactly the defects that it announces."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.sample import generate
from hybrid_sync_cli.sample.planted import expected
from hybrid_sync_cli.sample.sizes import sizes
from tests.sample.conftest import SCALE, Sampled, one, tables


def _checksums(dsn: str) -> dict[str, str]:
    """A hash of all rows, per table."""
    found: dict[str, str] = {}
    with psycopg.connect(dsn) as connection:
        for table in tables(connection):
            query = sql.SQL(
                "select md5(coalesce(string_agg(r, '|' order by r), '')) from "
                '(select to_jsonb(t)::text collate "C" as r from {} t) q'
            ).format(sql.Identifier(table))
            row = connection.execute(query).fetchone()
            assert row is not None
            found[table] = row[0]
    return found


def test_the_same_seed_makes_the_same_rows_and_another_seed_others(
    world: Sampled, fresh_database: Callable[[str], str]
) -> None:
    same, other = fresh_database("same"), fresh_database("other")
    _roles_exist(fresh_database)
    generate(same, fresh_database("same_target"), SCALE, seed=3)
    generate(other, fresh_database("other_target"), SCALE, seed=4)
    first, second, third = _checksums(world.legacy), _checksums(same), _checksums(other)
    assert first == second
    # What has no chance in it (groups, permissions, roles) is the same for every seed.
    assert {name for name in first if first[name] != third[name]} >= {
        "auth_user", "dispatch_patient", "dispatch_instruction", "dispatch_payment", "dispatch_notification",
    }  # fmt: skip


def _roles_exist(fresh_database: Callable[[str], str]) -> None:
    """The plain cluster has no Supabase roles; the target's grants need them."""
    with psycopg.connect(fresh_database("roles"), autocommit=True) as connection:
        for role in ("anon", "authenticated", "service_role"):
            query = sql.SQL("do $$ begin create role {}; exception when duplicate_object then null; end $$")
            connection.execute(query.format(sql.Identifier(role)))


def test_scale_1_has_the_numbers_that_the_company_counted() -> None:
    n = sizes(1)
    mapped = (
        n["offices"] + n["users"] + 2 * n["patients"] + 24 + 12 + n["orders"] + n["jaws"] + n["projects"]
        + n["plans"] + n["tasks"] + n["comments"] + n["patient_records"] + 2 * n["states"] + n["files"]
        + n["case_files"] + n["attachments"] + n["payments"] + n["purchases"] + n["operations"] + 14
        + n["role_permissions"]
    )  # fmt: skip
    assert mapped == 1_434_611
    assert n["notifications"] == 2_039_588
    assert n["comments"] + n["patient_records"] == 16_165
    planted = expected(n)
    assert planted.failed["case_messages"] == {"missing_parent": 63}
    assert planted.failed["case_states"] == {"missing_parent": 222}
    assert planted.failed["case_files"] == {"missing_parent": 2}


PLANTED = {
    ("orders", "unknown_enum"): "select count(*) from dispatch_instruction where status not in (0, 1, 2, 4)",
    ("case_messages", "missing_parent"): "select count(*) from dispatch_comment c "
    "join dispatch_plan p on p.id = c.plan_id join dispatch_instruction i on i.id = p.instruction_id "
    "where i.patient_id is null",
    ("case_states", "missing_parent"): "select count(*) from dispatch_state s "
    "left join dispatch_instruction i on i.id = s.instruction_id where i.patient_id is null",
    ("order_states", "missing_parent"): "select count(*) from dispatch_state s "
    "where not exists (select from dispatch_instruction i where i.id = s.instruction_id)",
    ("case_files", "missing_parent"): "select count(*) from dispatch_file "
    "where instruction_id is null and record_id is null",
}


@pytest.mark.parametrize(("entity", "reason"), PLANTED, ids=lambda name: str(name))
def test_as_many_defects_are_planted_as_announced(world: Sampled, entity: str, reason: str) -> None:
    announced = world.made["planted"][entity][reason]
    assert announced >= 1
    assert one(world.legacy, PLANTED[entity, reason]) == announced


def test_as_many_contexts_are_no_jsonb_as_announced(world: Sampled) -> None:
    """PostgreSQL itself is the judge: what it refuses as jsonb is a defect."""
    with psycopg.connect(world.legacy, autocommit=True) as connection:
        connection.execute(
            "create function pg_temp.is_jsonb(t text) returns boolean language plpgsql as "
            "$$ begin perform t::jsonb; return true; exception when data_exception then return false; end $$"
        )
        row = connection.execute(
            "select count(*), count(distinct left(template_context, 8)) from dispatch_notification "
            "where not pg_temp.is_jsonb(template_context)"
        ).fetchone()
    assert row is not None
    assert row[0] == world.made["planted"]["system_messages"]["bad_json"]
    assert row[1] >= 4, "several kinds of broken text"


def test_money_is_in_four_currencies_and_yen_have_no_decimals(world: Sampled) -> None:
    with psycopg.connect(world.legacy) as connection:
        rows = connection.execute(
            "select o.country, bool_and(p.total_price = trunc(p.total_price)) from dispatch_payment p "
            "join dispatch_office o on o.id = p.office_id group by 1 order by 1"
        ).fetchall()
    assert [row[0] for row in rows] == ["IN", "JP", "TH", "US"]
    assert dict(rows)["JP"] is True
    assert one(world.legacy, "select min(price) > 0 from dispatch_operation where type = 2") is True


def test_purchases_are_as_many_as_announced(world: Sampled) -> None:
    bought = one(world.legacy, "select count(*) from dispatch_payment where paid and not canceled and paid_price > 0")
    everything = world.made["legacy"]["dispatch_payment"]
    assert bought == everything - world.made["excluded"]["purchases"]["not_a_purchase"]


def test_rows_migrated_earlier_have_random_uuids_and_some_are_stale(world: Sampled) -> None:
    versions = "select string_agg(distinct substr(id::text, 15, 1), '') from public.profiles where legacy_id > 0"
    assert one(world.target, versions) == "4"
    assert one(world.target, "select count(*) from public.profiles where last_name = 'Formerly'")
    assert one(world.legacy, "select count(*) from auth_user where last_name = 'Formerly'") == 0


def test_native_rows_have_no_legacy_key(world: Sampled) -> None:
    assert len(world.made["native"]) >= 5
    for table, rows in world.made["native"].items():
        key = "legacy_patient_id" if table == "cases" else "legacy_id"
        query = sql.SQL("select count(*) from public.{} where {} is null")
        text = query.format(sql.Identifier(table), sql.Identifier(key)).as_string(None)
        assert one(world.target, text) == rows


def test_a_database_with_tables_of_its_own_is_refused_and_nothing_is_written(legacy_db: str, target_db: str) -> None:
    with psycopg.connect(target_db) as connection:
        connection.execute("create table public.mine (id integer)")
    with pytest.raises(CliError, match="The target database has tables that the sample did not make"):
        generate(legacy_db, target_db, SCALE)
    assert one(legacy_db, "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == 0
    assert one(legacy_db, "select to_regnamespace('hybrid_sync_sample') is null") is True


def test_a_second_sample_is_refused(world: Sampled) -> None:
    with pytest.raises(CliError, match="already holds a sample world"):
        generate(world.legacy, world.target, SCALE)
