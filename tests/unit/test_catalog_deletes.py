"""A delete policy that could never be carried out is a mistake in the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_sync.catalog.load import load
from tests.unit.test_catalog_load import PEOPLE, VISITS, mistakes

HARD = "on_delete: {policy: hard}\n"
SOFT = "on_delete: {policy: soft, set: {deleted_at: now()}}\n"


@pytest.mark.parametrize(("child", "policy"), [("", "ignore"), (SOFT, "soft")])
def test_a_parent_is_not_deleted_from_under_children_that_stay(tmp_path: Path, child: str, policy: str) -> None:
    found = mistakes(tmp_path, people=PEOPLE + HARD, visits=VISITS + child)
    assert found == [
        f"people.yaml:9: policy hard is harder than {policy}, the policy of visits, whose person_id refers to it:"
        " write `soft` here, or `hard` in visits."
    ]


@pytest.mark.parametrize(("parent", "child"), [(HARD, HARD), (SOFT, ""), (SOFT, HARD), ("", HARD)])
def test_policies_that_leave_no_reference_behind_are_sound(tmp_path: Path, parent: str, child: str) -> None:
    (tmp_path / "people.yaml").write_text(PEOPLE + parent)
    (tmp_path / "visits.yaml").write_text(VISITS + child)
    assert sorted(load(tmp_path).entities) == ["people", "visits"]


def test_rows_may_refer_to_rows_of_their_own_entity(tmp_path: Path) -> None:
    own = "    references:\n      boss_id: {to: people, key: p.boss_id, deferred: true}\n"
    (tmp_path / "people.yaml").write_text(PEOPLE + own + HARD)
    assert load(tmp_path)["people"].on_delete.policy == "hard"


def test_a_mark_does_not_change_which_row_it_is(tmp_path: Path) -> None:
    wrong = "on_delete:\n  policy: soft\n  set:\n    legacy_id: null::bigint\n"
    assert mistakes(tmp_path, people=PEOPLE + wrong) == [
        "people.yaml:12: legacy_id says which row this is: set another column, such as deleted_at."
    ]
