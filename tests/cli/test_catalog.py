"""`catalog check` lists what is synced, or names the mistake by file and line."""

from __future__ import annotations

from pathlib import Path

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
