"""A mistake in a catalog file is one sentence with file, line and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_sync.catalog.load import load
from hybrid_sync.errors import CatalogError

PEOPLE = """\
entity: people
target: public.people
sources:
  person:
    from: person p
    key: {legacy_id: p.id}
    columns:
      name: p.name
"""

VISITS = """\
entity: visits
target: visits
sources:
  visit:
    from: visit v
    joins:
      - left join person p on p.id = v.person_id
    key: {legacy_id: v.id}
    references:
      person_id: {to: people, key: v.person_id}
    columns:
      note: v.note
"""


def mistakes(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        load(folder)
    return caught.value.message.splitlines()


def test_a_sound_catalog_loads_in_waves(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(PEOPLE)
    (tmp_path / "visits.yaml").write_text(VISITS)
    assert load(tmp_path).waves() == [["people"], ["visits"]]


@pytest.mark.parametrize(
    ("wrong", "right", "line", "says"),
    [
        ("target: public.people", "target: Public.People", 2, "write lower-case letters"),
        ("    from: person p", "    from: person", 5, "write it as: dispatch_payment p"),
        ("      name: p.name", "      name: {enumm: p.name}", 8, "write an SQL expression, or one of"),
        ("      name: p.name", "      name: {enum: p.kind}", 8, "add it"),
        ("entity: people", "entity: people\npriority: urgent", 2, "'critical', 'high', 'normal' or 'low'"),
        ("      name: p.name", "      legacy_id: p.id", 4, "written twice"),
        ("entity: people", "entity: people\ncolour: red", 2, "remove it or correct its spelling"),
    ],
)
def test_a_mistake_names_its_line_and_the_remedy(tmp_path: Path, wrong: str, right: str, line: int, says: str) -> None:
    told = mistakes(tmp_path, people=PEOPLE.replace(wrong, right))
    assert any(says in sentence for sentence in told), told
    assert any(abs(int(sentence.split(":")[1]) - line) <= 1 for sentence in told), told


def test_text_that_is_not_yaml(tmp_path: Path) -> None:
    assert "this is not YAML" in mistakes(tmp_path, people="entity: [people")[0]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path, people=PEOPLE.replace("target:", "tarjet:"), visits=VISITS.replace("from: visit v", "from: 1")
    )
    assert {sentence.split(":")[0] for sentence in told} == {"people.yaml", "visits.yaml"}


def test_a_reference_to_an_entity_that_does_not_exist(tmp_path: Path) -> None:
    told = mistakes(tmp_path, people=PEOPLE, visits=VISITS.replace("to: people", "to: persons"))
    assert told == ["visits.yaml:10: person_id: there is no entity persons: write one of people, visits."]


def test_a_cycle_names_its_path(tmp_path: Path) -> None:
    people = PEOPLE + "    references:\n      visit_id: {to: visits, key: p.visit_id}\n"
    told = mistakes(tmp_path, people=people, visits=VISITS)
    assert told == [
        "people.yaml:10: the references people → visits → people form a cycle: "
        "mark one nullable reference on it with `deferred: true`."
    ]


def test_a_self_reference_is_a_cycle_unless_deferred(tmp_path: Path) -> None:
    people = PEOPLE + "    references:\n      boss_id: {to: people, key: p.boss_id}\n"
    assert "people → people" in mistakes(tmp_path, people=people)[0]
    (tmp_path / "people.yaml").write_text(people.replace("p.boss_id}", "p.boss_id, deferred: true}"))
    assert load(tmp_path).waves() == [["people"]]


def test_a_longer_cycle_through_three_entities(tmp_path: Path) -> None:
    def entity(name: str, parent: str) -> str:
        return PEOPLE.replace("people", name) + f"    references:\n      other_id: {{to: {parent}, key: p.x}}\n"

    told = mistakes(tmp_path, a=entity("a", "b"), b=entity("b", "c"), c=entity("c", "a"))
    assert "a → b → c → a" in told[0]


def test_a_deferred_reference_cannot_be_required(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path, people=PEOPLE, visits=VISITS.replace("v.person_id}", "v.person_id, deferred: true, required: true}")
    )
    assert "drop one of the two" in told[0]


def test_money_needs_its_columns(tmp_path: Path) -> None:
    people = PEOPLE + "money:\n  - {column: price, constant_currency: USD}\n"
    assert "money column price is not among the columns" in mistakes(tmp_path, people=people)[0]


def test_no_folder_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no catalog at"):
        load(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match=r"holds no \*\.yaml file"):
        load(tmp_path)
