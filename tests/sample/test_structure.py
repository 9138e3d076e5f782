"""The tables of both sides carry everything that makes the real ones hard."""

from __future__ import annotations

import psycopg

from tests.sample.conftest import Sampled, one, tables


def test_legacy_has_django_tables_of_which_most_have_no_updated_at(world: Sampled) -> None:
    with psycopg.connect(world.legacy) as legacy:
        names = tables(legacy)
        with_updated_at = {
            row[0]
            for row in legacy.execute(
                "select table_name from information_schema.columns "
                "where table_schema = 'public' and column_name = 'updated_at'"
            )
        }
        timeless = legacy.execute(
            "select count(*) from pg_class c "
            "where relnamespace = 'public'::regnamespace and relkind = 'r' and relname like 'dispatch_%%' "
            "and not exists (select from pg_attribute a where a.attrelid = c.oid "
            "and a.atttypid = 'timestamptz'::regtype)",
            (),
        ).fetchone()
    assert len(names) >= 16
    assert with_updated_at == {"dispatch_patient", "dispatch_instruction"}
    assert timeless is not None and timeless[0] >= 8


def test_legacy_foreign_keys_are_checked_at_commit_as_django_makes_them(world: Sampled) -> None:
    assert one(world.legacy, "select bool_and(condeferrable and condeferred) from pg_constraint where contype = 'f'")
    # Orders and jaws refer to each other, comments to comments.
    cycle = (
        "select count(*) from pg_constraint where contype = 'f' and (conrelid, confrelid) in "
        "(('dispatch_instruction'::regclass, 'dispatch_jaw'::regclass), "
        "('dispatch_jaw'::regclass, 'dispatch_instruction'::regclass), "
        "('dispatch_comment'::regclass, 'dispatch_comment'::regclass))"
    )
    assert one(world.legacy, cycle) == 4


def test_every_target_table_has_a_uuid_a_unique_legacy_key_metadata_and_row_security(world: Sampled) -> None:
    with psycopg.connect(world.target) as target:
        assert len(tables(target)) >= 18
        unfit = target.execute(
            "select c.relname from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'r' "
            "and not (relrowsecurity "
            "and exists (select from pg_attribute a where a.attrelid = c.oid and attname = 'id' "
            "            and atttypid = 'uuid'::regtype) "
            "and exists (select from pg_attribute a where a.attrelid = c.oid and attname = 'metadata' "
            "            and atttypid = 'jsonb'::regtype) "
            "and exists (select from pg_constraint k join pg_attribute a on a.attrelid = c.oid "
            "            and a.attnum = any(k.conkey) and a.attname ~ '^legacy_' "
            "            where k.conrelid = c.oid and k.contype = 'u'))"
        ).fetchall()
    assert unfit == []


def test_only_the_service_role_may_read_every_target_table(world: Sampled) -> None:
    counted = (
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' "
        "and has_table_privilege(%s, oid, 'select')"
    )
    assert one(world.target, counted, "service_role") == len(world.made["target"])
    assert one(world.target, counted, "anon") == 0


def test_every_foreign_key_of_the_target_has_an_index(world: Sampled) -> None:
    bare = (
        "select count(*) from pg_constraint k where contype = 'f' "
        "and connamespace = 'public'::regnamespace and not exists "
        "(select from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1])"
    )
    assert one(world.target, bare) == 0
