"""`catalog check` lists what is synced, or names the mistake by file and line."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.cli.conftest import Command

ROLES = """\
entity: roles
target: roles
sources:
  dispatch_role:
    from: dispatch_role r
    key: { legacy_id: r.id }
    columns: { name: r.name }
"""


def test_a_sound_catalog_is_listed_in_waves(hybrid_sync: Command, tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text(ROLES, "utf-8")

    said = hybrid_sync("catalog", "check", str(tmp_path))

    assert said.status == 0
    assert "dispatch_role" in said.out
    assert said.out.endswith("Entities: 1, waves: 1, mistakes: none.\n")


def test_the_projects_own_catalog_is_sound(hybrid_sync: Command) -> None:
    assert hybrid_sync("catalog", "check").status == 0


def test_a_mistake_is_named_by_file_and_line(hybrid_sync: Command, tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text(ROLES.replace("target:", "tarket:"), "utf-8")

    said = hybrid_sync("catalog", "check", str(tmp_path))

    assert said.status == 1
    assert "roles.yaml:2:" in said.err
    assert "Traceback" not in said.err


def test_a_folder_without_a_catalog_is_one_sentence(hybrid_sync: Command, tmp_path: Path) -> None:
    said = hybrid_sync("catalog", "check", str(tmp_path / "nowhere"))

    assert said.status == 1
    assert said.err.startswith("hybrid-sync: There is no catalog at ")


ODD = """\
entity: odd
target: odd
sources:
  odd:
    from: odd o
    joins: [left join other p on p.id = o.p_id]
    key: { legacy_id: o.id }
    columns:
      plus: o.a +
      gap: coalesce(o.a, )
      alias: o.a b
      star: o.*
      lost: x.a
      fine: o.tags @> array['x'] or p.x <-> o.y < 3
      own: (o.a <##> o.b) is not null
"""


def test_every_slip_of_an_expression_is_named_offline(hybrid_sync: Command, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(ODD, "utf-8")

    said = hybrid_sync("catalog", "check", str(tmp_path))

    assert said.status == 1
    run = {line.split(":")[1]: line for line in said.err.splitlines() if line.startswith("odd.yaml")}
    assert sorted(run, key=int) == ["9", "10", "11", "12", "13", "15"]
    assert "not an SQL expression" in run["9"]
    assert "there is no alias x here: write one of o, p" in run["13"]
    assert "not judged" in run["15"]


def test_what_only_postgresql_knows_is_no_mistake(hybrid_sync: Command, tmp_path: Path) -> None:
    text = ODD[: ODD.index("      plus")] + "      own: (o.a <##> o.b) is not null\n"
    (tmp_path / "odd.yaml").write_text(text, "utf-8")

    assert hybrid_sync("catalog", "check", str(tmp_path)).status == 0


def test_the_databases_tell_everything_at_once(
    hybrid_sync: Command, tmp_path: Path, legacy_db: str, target_db: str
) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy, psycopg.connect(target_db, autocommit=True) as target:
        legacy.execute("create table a (id int primary key, name text, n int)")
        legacy.execute("insert into a values (1, 'a secret', 2)")
        target.execute("create table a (id uuid primary key, legacy_id bigint, name text, must text not null)")
        target.execute("create table b (id uuid primary key, legacy_id bigint unique, n text, gone_at timestamptz)")
    (tmp_path / "a.yaml").write_text(
        "entity: a\ntarget: a\nsources:\n  a:\n    from: a a\n    key: { legacy_id: a.id }\n    columns:\n"
        "      name: a.nome\n      other: a.name::no_such_type\n      third: a.n / a.name\n"
        "    rules: [{ fail: odd, when: a.n }]\n",
        "utf-8",
    )
    (tmp_path / "b.yaml").write_text(
        "entity: b\ntarget: b\nsources:\n  b:\n    from: a b\n    joins: [left join nowhere c on c.id = b.id]\n"
        "    key: { legacy_id: b.id }\n    columns: { n: b.n }\n"
        "on_delete: { policy: soft, set: { gone_at: no_such_function() } }\n",
        "utf-8",
    )

    said = hybrid_sync("catalog", "check", str(tmp_path), "--legacy-dsn", legacy_db, "--target-dsn", target_db)

    assert said.status == 1
    for part in (
        "a.yaml:8: legacy answers “column a.nome does not exist”",
        "a.yaml:9: legacy answers “type \"no_such_type\" does not exist”",
        "a.yaml:10: legacy answers “operator does not exist: integer / text”",
        "a.yaml:11: legacy answers “argument of WHERE must be type boolean, not type integer”",
        "no column other", "no column third", "no unique index on its legacy key", "must is NOT NULL",
        "b.yaml:6: legacy has no table nowhere",
        "b.yaml:9: the target answers “function no_such_function() does not exist”",
    ):  # fmt: skip
        assert part in said.err
    assert "secret" not in said.err


def test_a_sound_catalog_passes_both_databases(
    hybrid_sync: Command, tmp_path: Path, legacy_db: str, target_db: str
) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy, psycopg.connect(target_db, autocommit=True) as target:
        legacy.execute("create table dispatch_role (id int primary key, name text)")
        target.execute("create table roles (id uuid primary key, legacy_id bigint unique, name text)")
    (tmp_path / "roles.yaml").write_text(ROLES, "utf-8")

    said = hybrid_sync("catalog", "check", str(tmp_path), "--legacy-dsn", legacy_db, "--target-dsn", target_db)

    assert (said.status, said.err) == (0, "")


def test_a_schema_in_which_others_may_create_something_is_told_and_no_mistake(
    hybrid_sync: Command, tmp_path: Path, legacy_db: str
) -> None:
    with psycopg.connect(legacy_db, autocommit=True) as legacy:
        legacy.execute("create table dispatch_role (id int primary key, name text)")
        legacy.execute("create schema open; grant create on schema open to public")
    (tmp_path / "roles.yaml").write_text(f"{ROLES.rstrip()}\nlegacy_search_path: open\n", "utf-8")
    said = hybrid_sync("catalog", "check", str(tmp_path), "--legacy-dsn", legacy_db)
    assert said.status == 0
    assert "(not judged) In legacy's schema open others than its owner may create functions" in said.err

    (tmp_path / "roles.yaml").write_text(f"{ROLES.rstrip()}\nlegacy_search_path: absent\n", "utf-8")
    said = hybrid_sync("catalog", "check", str(tmp_path), "--legacy-dsn", legacy_db)
    assert (said.status, "no schema absent" in said.err) == (1, True)


def test_an_entity_is_described_in_its_own_words(hybrid_sync: Command, tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text(ROLES.replace("target:", "description: Who may what.\ntarget:"), "utf-8")

    assert hybrid_sync("catalog", "describe", str(tmp_path)).out == "roles: Who may what.\n"
