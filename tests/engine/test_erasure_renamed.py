"""An erasure finds what is kept of a person under the names of then: of columns, of tables, of entities and sources."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_sync.catalog.catalog import Catalog
from hybrid_sync.catalog.models import Entity
from hybrid_sync.contracts import FailureMessage, RollbackTask
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.schema.install import install
from hybrid_sync.steps.retry_failure import retry_failure
from hybrid_sync.steps.rollback_run import rollback_run
from hybrid_sync.write.journal import CHANGES
from tests.engine.conftest import Query, _runner
from tests.engine.erasures import erase_rows
from tests.engine.small import small_world
from tests.engine.test_erasure import anywhere
from tests.engine.worlds import EngineWorld, run

LEGACY = """
create table people (id int primary key, email text, chief int);
create table notes (id int primary key, person int, author int, body text);
insert into people select i, 'mail' || i, nullif(i - 1, 0) from generate_series(1, 5) i;
insert into notes select i, i, 5, 'secret of ' || i from generate_series(1, 4) i;
"""
TARGET = """
create table people (id uuid primary key, legacy_id int unique, email text, chief_id uuid references people);
create table notes (id uuid primary key, legacy_id int unique, person_id uuid references people,
                    author_id uuid references people, body text);
"""
PLACE = ("people", "people")


def _entity(name: str, **more: Any) -> dict[str, Any]:
    source = {"from": f"{name} a", "key": {"legacy_id": "a.id"}, **more.pop("source")}
    return {"entity": name, "target": name, "on_delete": {"policy": "hard"}, "sources": {name: source}, **more}


def _catalog(person: str | None = "person_id", **changed: Any) -> list[dict[str, Any]]:
    """Whose a note is, and who wrote it; the note is the person's, of whom it says something."""
    references: dict[str, Any] = {"author_id": {"key": "a.author", "to": "people"}}
    if person:
        references[person] = {"key": "a.person", "to": "people"}
    return [
        _entity(
            "people",
            source={
                "columns": {"email": "a.email"},
                "references": {"chief_id": {"key": "a.chief", "to": "people", "deferred": True}},
            },
            erasure={"policy": "pseudonymise", "set": {"email": "erased-{key}"}},
        ),
        _entity(
            "notes",
            source={"columns": {"body": "a.body"}, "references": references},
            **{"erasure": {"policy": "delete", "of": [person] if person else []}, **changed},
        ),
    ]


def _with(world: EngineWorld, entities: list[dict[str, Any]]) -> EngineWorld:
    """The same world after somebody has brought the catalog up to date."""
    renamed = copy.copy(world)
    renamed.catalog = Catalog({one["entity"]: Entity.model_validate(one) for one in entities})
    return renamed


@pytest.fixture(name="moved")
def note_three_is_of_another_by_now(legacy_db: str, target_db: str) -> EngineWorld:
    """Notes 3 and 4 are person 4's, and what note 3 was before is in the journal."""
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *_catalog())
    run(world, "first")
    _runner(legacy_db)("update notes set person = 4, body = 'harmless' where id = 3; update notes set author = 1")
    run(world, "second")
    assert anywhere(_runner(target_db), "secret of 3"), "what is looked for can be found"
    return world


def _forget_numbers(target: Query) -> None:
    """As of a run of before they were recorded."""
    target("update hybrid_sync.run_entity set columns = null")


RENAMED = "alter table notes rename person_id to whose"
EXCHANGED = "alter table notes rename person_id to x; alter table notes rename author_id to person_id; " + (
    "alter table notes rename x to author_id"
)


def _exchanged() -> list[dict[str, Any]]:
    references = {
        "person_id": {"key": "a.author", "to": "people"}, "author_id": {"key": "a.person", "to": "people"},
    }  # fmt: skip
    people, notes = _catalog()
    notes["sources"]["notes"]["references"] = references
    return [people, {**notes, "erasure": {"policy": "delete", "of": ["author_id"]}}]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_reference_that_has_another_name_by_now(moved: EngineWorld, target_db: str, recorded: bool) -> None:
    target = _runner(target_db)
    target(RENAMED)
    if not recorded:
        _forget_numbers(target)
    certificate = erase_rows(_with(moved, _catalog("whose")), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()
    assert certificate.scrubbed["journal"] == 2, "of note 3, and of the link of person 3"
    assert target("select body from notes where legacy_id = 3") == [("harmless",)], "it is of another person by now"


def test_columns_that_exchanged_their_names(moved: EngineWorld, target_db: str) -> None:
    """Who wrote notes of others is erased: their images stay, or those could not be undone any more."""
    target = _runner(target_db)
    target(EXCHANGED)
    erase_rows(_with(moved, _exchanged()), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()
    left = f"select keys from {CHANGES.as_string()} j where entity = 'notes' and before is not null order by keys"
    assert target(left) == [([1],), ([2],), ([4],)]
    erase_rows(_with(moved, _exchanged()), (5,), place=PLACE)
    assert target(left) == [([1],), ([2],), ([4],)], "person 5 was the author of all"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_reference_that_was_dropped(moved: EngineWorld, target_db: str, recorded: bool) -> None:
    target = _runner(target_db)
    target("alter table notes drop person_id")
    if not recorded:
        _forget_numbers(target)
    erase_rows(_with(moved, _catalog(None)), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()


def test_a_new_column_of_the_dropped_references_name(moved: EngineWorld, target_db: str) -> None:
    """It is none that makes a note a person's; its name is no reason to keep what stood in the other one."""
    target = _runner(target_db)
    target("alter table notes drop person_id; alter table notes rename author_id to person_id")
    people, notes = _catalog()
    notes["sources"]["notes"]["references"] = {"person_id": {"key": "a.author", "to": "people"}}
    erase_rows(_with(moved, [people, {**notes, "erasure": {"policy": "delete"}}]), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()


def test_a_table_that_was_made_again(moved: EngineWorld, target_db: str) -> None:
    """A dump that was loaded, say: the numbers are of another table."""
    target = _runner(target_db)
    target("create table other (like notes including all); insert into other select * from notes")
    target("drop table notes; alter table other rename to notes; grant all on notes to public")
    target("alter table notes rename person_id to whose")
    erase_rows(_with(moved, _catalog("whose")), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()


def test_a_table_that_has_another_name(moved: EngineWorld, target_db: str) -> None:
    target = _runner(target_db)
    target("alter table notes rename to remarks; alter table remarks rename person_id to whose")
    people, notes = _catalog("whose")
    erase_rows(_with(moved, [people, {**notes, "target": "remarks"}]), (3,), place=PLACE)
    assert anywhere(target, "secret of 3") == set()


ANSWERS = (
    "create table answers (id int primary key, note int, body text); insert into answers values (7, 3, 'answer 7')"
)


def test_what_is_left_of_rows_that_belonged_to_rows_which_are_gone(legacy_db: str, target_db: str) -> None:
    """Nobody's row refers to person 3 any more, and only the image of a deleted note says whose the answer was."""
    answers = _entity(
        "answers",
        source={"columns": {"body": "a.body"}, "references": {"note_id": {"key": "a.note", "to": "notes"}}},
        erasure={"policy": "delete", "of": ["note_id"]},
    )
    world = small_world(
        legacy_db, target_db, LEGACY + ANSWERS,
        TARGET + "create table answers (id uuid primary key, legacy_id int unique, note_id uuid references notes,"
        " body text)", *_catalog(), answers,
    )  # fmt: skip
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    legacy("update answers set body = 'answer 7, corrected'")
    run(world, "second")
    legacy("delete from answers; delete from notes where id in (3, 4)")
    run(world, "third", profile="weekly", allow_deletes=["notes", "answers"])
    assert {word for word, _ in anywhere(target, "secret of 3", "answer 7")} == {"secret of 3", "answer 7"}
    assert erase_rows(world, (3,), place=PLACE).scrubbed["retired_id"] == 2
    assert anywhere(target, "secret of 3", "answer 7") == set()
    assert {word for word, _ in anywhere(target, "secret of 4")} == {"secret of 4"}


def test_a_key_that_came_back_as_anothers_row_and_failed_stays_a_failed_record(legacy_db: str, target_db: str) -> None:
    """An image says that note 3 was the person's once; what legacy has under its key now cannot be written, and nothing
    but its failed record tells of it."""
    world = small_world(legacy_db, target_db, LEGACY, TARGET, *_catalog())
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    legacy("delete from notes where id = 3")
    run(world, "second", allow_deletes=["notes"])
    legacy("insert into notes values (3, 4, 99, 'of person 4, by nobody')")
    assert run(world, "third").outcome.status == "degraded"
    due = "select key, status from hybrid_sync.failed_record where entity = 'notes'"
    assert target(due) == [([3], "open")]
    assert erase_rows(world, (3,), place=PLACE).scrubbed["journal"] > 0
    assert anywhere(target, "secret of 3") == set()
    assert target(due) == [([3], "open")]
    assert run(world, "fourth").outcome.status == "degraded"
    legacy("update notes set author = 4 where id = 3")
    assert run(world, "fifth").outcome.status == "succeeded"
    assert target("select body from notes where legacy_id = 3") == [("of person 4, by nobody",)]


def _renamed_place(entity: str, source: str) -> list[dict[str, Any]]:
    """The people under another entity, or of another source, of the same tables."""
    people, notes = _catalog()
    [only] = people["sources"].values()
    people = {**people, "entity": entity, "sources": {source: only}}
    only["references"]["chief_id"]["to"] = entity
    for reference in notes["sources"]["notes"]["references"].values():
        reference["to"] = entity
    return [people, notes]


@pytest.mark.parametrize(("entity", "source"), [("people", "persons"), ("persons", "people"), ("persons", "persons")])
def test_an_erased_person_stays_erased_under_another_name(
    moved: EngineWorld, legacy_db: str, target_db: str, entity: str, source: str
) -> None:
    target = _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    renamed = _with(moved, _renamed_place(entity, source))
    _runner(legacy_db)("update people set email = email || '!'")
    for run_id in ("third", "fourth"):
        assert run(renamed, run_id, profile="weekly").outcome.status == "succeeded"
        assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4!",)]


RENAMED_IN_LEGACY = ["alter table people rename to humans", "alter table people rename id to number"]


@pytest.mark.parametrize("renamed", RENAMED_IN_LEGACY)
def test_a_name_that_changed_on_both_sides_between_two_runs(
    moved: EngineWorld, legacy_db: str, target_db: str, renamed: str
) -> None:
    """Nothing is written until one run under the old names has read the new ones."""
    legacy, target = _runner(legacy_db), _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    legacy(f"{renamed}; update {'humans' if 'humans' in renamed else 'people'} set email = email || '!'")
    both, back = _renamed_place("persons", "persons"), _catalog()
    for entities in (both, back):
        [only] = entities[0]["sources"].values()
        if "humans" in renamed:
            only["from"] = "humans a"
        else:
            only["key"] = {"legacy_id": "a.number"}
    said = r'Keys of people \(people\) were erased, .* legacy has no "public"."people" .* both have other names now'
    for profile in ("daily", "weekly"):
        with pytest.raises(ConfigurationMissing, match=said):
            run(_with(moved, both), f"refused-{profile}", profile=profile)
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4",)]
    assert run(_with(moved, back), "third").outcome.status == "succeeded"
    assert run(_with(moved, both), "fourth").outcome.status == "succeeded"
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4!",)]


@pytest.mark.parametrize("gone", [False, True])
def test_an_entity_that_the_catalog_has_no_more(moved: EngineWorld, legacy_db: str, target_db: str, gone: bool) -> None:
    """It is asked about where its table is gone, too; who has dropped it says so once."""
    erase_rows(moved, (3,), place=("notes", "notes"))
    alone = _with(moved, _catalog()[:1])
    if gone:
        _runner(legacy_db)("drop table notes")
        with pytest.raises(ConfigurationMissing, match=r"Keys of notes \(notes\) were erased"):
            run(alone, "refused")
        _runner(target_db)("update hybrid_sync.erased_place set reads = 'nothing' where entity = 'notes'")
    assert run(alone, "third").outcome.status == "succeeded"


def test_who_was_erased_before_the_names_meanings_were_recorded(
    moved: EngineWorld, legacy_db: str, target_db: str
) -> None:
    """One run under the old names records them; without it nothing is written, and a sentence says why."""
    target = _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    target("delete from hybrid_sync.erased_place")
    renamed = _with(moved, _renamed_place("persons", "persons"))
    _runner(legacy_db)("update people set email = email || '!'")
    with pytest.raises(ConfigurationMissing, match=r"Keys of people \(people\) were erased, .* for one run"):
        run(renamed, "third")
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4",)]
    assert run(moved, "fourth").outcome.status == "succeeded"
    assert run(renamed, "fifth").outcome.status == "succeeded"
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4!",)]


def test_a_restored_target_is_made_to_forget_under_the_new_name(moved: EngineWorld, target_db: str) -> None:
    target = _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    for table in ("suppressed", "erasure", "erased_place"):
        target(f"delete from hybrid_sync.{table}")
    target("update people set email = 'mail3' where legacy_id = 3")
    assert run(_with(moved, _renamed_place("persons", "persons")), "third").outcome.status == "succeeded"
    assert target("select email from people where legacy_id = 3") == [("erased-3",)]


def test_a_name_that_is_anothers_by_now(moved: EngineWorld, legacy_db: str, target_db: str) -> None:
    """People are called persons, and what is called people are others, with the same keys."""
    target = _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    _runner(legacy_db)("create table firms (id int primary key, name text); insert into firms values (4, 'firm 4')")
    target("create table firms (id uuid primary key, legacy_id int unique, name text)")
    firms = {
        "entity": "people", "target": "firms", "on_delete": {"policy": "hard"},
        "sources": {"people": {"from": "firms a", "key": {"legacy_id": "a.id"}, "columns": {"name": "a.name"}}},
    }  # fmt: skip
    _runner(legacy_db)("update people set email = email || '!'")
    renamed = _with(moved, [*_renamed_place("persons", "people"), firms])
    install(target_db, "only-for-tests", renamed.catalog)
    for run_id in ("third", "fourth"):
        assert run(renamed, run_id).outcome.status == "succeeded"
        assert target("select email from people where legacy_id = 3") == [("erased-3",)]
    assert target("select name from firms") == [("firm 4",)]


def test_a_name_that_is_anothers_by_now_while_legacys_own_has_changed_too(
    moved: EngineWorld, legacy_db: str, target_db: str
) -> None:
    """People are called persons on both sides, and what is called people are others: refused, until a run under the old
    name has read the new table."""
    legacy, target = _runner(legacy_db), _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    run(moved, "under-the-old-names")
    legacy("alter table people rename to humans; update humans set email = email || '!'")
    legacy("create table firms (id int primary key, name text); insert into firms values (4, 'firm 4')")
    target("create table firms (id uuid primary key, legacy_id int unique, name text)")
    firms = {
        "entity": "people", "target": "firms", "on_delete": {"policy": "hard"},
        "sources": {"people": {"from": "firms a", "key": {"legacy_id": "a.id"}, "columns": {"name": "a.name"}}},
    }  # fmt: skip
    both, back = _renamed_place("persons", "persons"), _catalog()
    for entities in (both, back):
        [only] = entities[0]["sources"].values()
        only["from"] = "humans a"
    renamed = _with(moved, [*both, firms])
    install(target_db, "only-for-tests", renamed.catalog)
    said = r"Keys of people \(people\) were erased, that name reads other rows now, .* no \"public\".\"people\""
    for run_id in ("refused", "refused-again"):
        with pytest.raises(ConfigurationMissing, match=said):
            run(renamed, run_id)
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4",)]
    for run_id, world in (("third", _with(moved, back)), ("fourth", renamed), ("fifth", renamed)):
        assert run(world, run_id).outcome.status == "succeeded"
        assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4!",)]


@pytest.mark.parametrize("key", ["a.id::bigint", "a.id + 0", 'a."id"'])
def test_another_name_and_the_key_in_other_words(moved: EngineWorld, legacy_db: str, target_db: str, key: str) -> None:
    """Nobody can tell that it is the same key: refused, whatever comes first, until a run has come between the two."""
    target = _runner(target_db)
    erase_rows(moved, (3,), place=PLACE)
    run(moved, "under-the-old-names")
    _runner(legacy_db)("update people set email = email || '!'")
    both, reworded = _renamed_place("persons", "persons"), _catalog()
    for entities in (both, reworded):
        [only] = entities[0]["sources"].values()
        only["key"] = {"legacy_id": key}
    renamed = _with(moved, both)
    message = FailureMessage(run_id="first", entity="people", source="people", reason="bad_json", keys=((4,),))
    begins: list[Callable[[], object]] = [
        lambda: rollback_run(renamed, RollbackTask(run_id="under-the-old-names")),
        lambda: retry_failure(renamed, message),
        lambda: run(renamed, "refused"),
    ]
    said = r"people \(people\) were erased, .* persons \(persons\) reads the same table with another key"
    for begin in begins:
        with pytest.raises(ConfigurationMissing, match=said):
            begin()
    assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4",)]
    for run_id, entities in (("third", reworded), ("fourth", both)):
        assert run(_with(moved, entities), run_id).outcome.status == "succeeded"
        assert target("select email from people where legacy_id in (3, 4)") == [("erased-3",), ("mail4!",)]


@pytest.mark.parametrize(("entity", "source"), [("people", "persons"), ("persons", "people")])
def test_what_is_kept_of_a_person_under_another_name(legacy_db: str, target_db: str, entity: str, source: str) -> None:
    """An image, and a mark of one who was marked as deleted."""
    people, notes = _catalog()
    soft = {"policy": "soft", "set": {"email": "null"}}
    world = small_world(legacy_db, target_db, LEGACY, TARGET, {**people, "on_delete": soft}, notes)
    legacy, target = _runner(legacy_db), _runner(target_db)
    run(world, "first")
    legacy("update people set email = 'new' || id where id = 3")
    run(world, "second")
    legacy("delete from notes where id = 3; update people set chief = null; delete from people where id = 3")
    run(world, "third", profile="weekly", allow_deletes=["notes"])
    assert {word for word, _ in anywhere(target, "mail3", "new3")} == {"mail3", "new3"}
    assert target("select before ->> 'email' from hybrid_sync.tombstone") == [("new3",)]
    renamed_people, notes = _renamed_place(entity, source)
    erase_rows(_with(world, [{**renamed_people, "on_delete": soft}, notes]), (3,), place=(entity, source))
    assert anywhere(target, "mail3", "new3", "secret of 3") == set()
