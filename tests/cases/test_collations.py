"""Columns whose collation takes texts for equal that are not: what they hold is told apart by its letters.

It needs a server built with ICU, which Debian's is.
"""

from __future__ import annotations

import psycopg
import pytest
import yaml

from tests.cases.case import Case
from tests.cases.ground import Servers
from tests.cases.play import play

_COLLATION = "create collation anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"

_MONEY = """
why: Money by words that the target's collation takes for equal adds up by the words.
legacy: |
  create table a (id int primary key, amount numeric(12,2), currency text, status text);
  insert into a select i, i, (array['eur', 'EUR', 'Eur', 'usd'])[1 + i % 4], (array['paid', 'PAID', 'open'])[1 + i % 3]
  from generate_series(1, 60) i
target: |
  {collation}
  create table a (id uuid primary key, legacy_id bigint not null unique, amount numeric(12,2),
                  currency text collate anycase, status text collate anycase)
catalog:
  a: |
    entity: a
    target: a
    sources:
      a:
        from: a a
        key: {{ legacy_id: a.id }}
        columns: {{ amount: a.amount, currency: a.currency, status: a.status }}
    money: [{{ column: amount, currency: currency, status: status }}]
steps:
  - {{ run: weekly, outcome: succeeded, entities: {{ a: verified }} }}
  - {{ legacy: "update a set currency = upper(currency) where id % 8 = 0", run: daily, outcome: succeeded,
      expect: {{ target: {{ "select count(*) from a where currency::bytea = 'EUR'": [[22]] }} }} }}
  - {{ target: "update a set currency = 'eur' where legacy_id = 1", run: weekly, outcome: failed }}
"""

_LEGACY = """
why: Money by words that legacy's collation takes for equal adds up by the words that legacy has.
legacy: |
  {collation}
  create table a (id int primary key, amount numeric(12,2), currency text collate anycase);
  insert into a select i, i, (array['eur', 'EUR', 'Eur', 'usd'])[1 + i % 4] from generate_series(1, 60) i
target: create table a (id uuid primary key, legacy_id bigint not null unique, amount numeric(12,2), currency text)
catalog:
  a: |
    entity: a
    target: a
    sources: {{ a: {{ from: a a, key: {{ legacy_id: a.id }}, columns: {{ amount: a.amount, currency: a.currency }} }} }}
    money: [{{ column: amount, currency: currency }}]
steps:
  - {{ run: weekly, outcome: succeeded, entities: {{ a: verified }} }}
"""

_UNIQUE = """
why: Of names that the target takes for equal one stays out; one that changes its case is carried, exchanged and undone.
legacy: |
  create table a (id int primary key, name text unique); insert into a values (1, 'a'), (2, 'A'), (3, 'b'), (4, 'c')
target: |
  {collation}
  create table a (id uuid primary key, legacy_id bigint not null unique, name text collate anycase not null unique)
catalog:
  a: |
    entity: a
    target: a
    batch_size: 2
    sources: {{ a: {{ from: a a, key: {{ legacy_id: a.id }}, columns: {{ name: a.name }} }} }}
steps:
  - {{ run: weekly, outcome: degraded, expect: {{ failed: [[a, 2, unique_violation]] }} }}
  - {{ legacy: "update a set name = 'B' where id = 3", run: daily, outcome: degraded,
      expect: {{ target: {{ "select legacy_id, name from a order by 1": [[1, a], [3, B], [4, c]] }} }} }}
  - legacy: |
      update a set name = 'x' where id = 3; update a set name = 'b' where id = 4; update a set name = 'C' where id = 3
    run: daily
    outcome: degraded
    expect: {{ target: {{ "select legacy_id, name from a order by 1": [[1, a], [3, C], [4, b]] }} }}
  - rollback: last
    expect: {{ target: {{ "select legacy_id, name from a order by 1": [[1, a], [3, B], [4, c]] }} }}
"""

_UNDO = """
why: A trigger that gives a row back in other letters than it had keeps it from being called undone.
legacy: create table a (id int primary key, name text); insert into a select i, 'n' || i from generate_series(1, 30) i
target: |
  {collation}
  create table a (id uuid primary key, legacy_id bigint not null unique, name text collate anycase);
  create function shout() returns trigger language plpgsql as
    'begin if old.name = ''m'' and new.name = ''n3'' then new.name = ''N3''; end if; return new; end';
  create trigger shout before update on a for each row execute function shout()
catalog:
  a: |
    entity: a
    target: a
    sources: {{ a: {{ from: a a, key: {{ legacy_id: a.id }}, columns: {{ name: a.name }} }} }}
steps:
  - {{ run: weekly, outcome: succeeded }}
  - {{ legacy: "update a set name = 'm' where id in (3, 4)", run: daily, outcome: succeeded }}
  - rollback: last
    expect: {{ target: {{ "select legacy_id, name from a where legacy_id in (3, 4) order by 1": [[3, m], [4, n4]] }} }}
"""


@pytest.mark.parametrize("text", [_MONEY, _LEGACY, _UNIQUE, _UNDO], ids=["money", "legacy", "unique", "undo"])
def test_letters_count_and_not_what_a_collation_takes_for_equal(text: str, ground: Servers) -> None:
    with ground.ground() as databases, psycopg.connect(databases.legacy) as connection:
        try:
            connection.execute(_COLLATION)
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("this PostgreSQL is built without ICU")
        connection.rollback()
    case = Case.model_validate(yaml.safe_load(text.format(collation=_COLLATION)))
    assert play(case, ground) == []
