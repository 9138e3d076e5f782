"""One refused item costs that item: a set is tried as a whole, and halved until each refused item is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import psycopg
from psycopg import sql

from hybrid_sync.blame import ELSEWHERE
from hybrid_sync.postgres import Connection

T = TypeVar("T")


class Refused(psycopg.Error):
    """What an attempt itself finds wrong with its items, under a code of ours where the server raised none."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Refusal(NamedTuple, Generic[T]):
    """What a database said of one item, a row or its number; names are as the error has them."""

    item: T
    sqlstate: str
    constraint: str | None = None
    column: str | None = None
    raised: bool = False
    """It is known to have arisen in a trigger."""

    @classmethod
    def of(cls, item: T, error: psycopg.Error) -> Refusal[T]:
        return cls(item, error.sqlstate or "", error.diag.constraint_name, error.diag.column_name)


def halve(
    items: Sequence[T],
    attempt: Callable[[Sequence[T]], object],
    require_item: Callable[[psycopg.Error, Sequence[T]], None],
    parts: int = 2,
    refusal: Callable[[T, psycopg.Error], Refusal[T]] = Refusal.of,
) -> list[Refusal[T]]:
    """Attempt all items, in order; the refused ones, each with why.

    `attempt` does all of its items or none, in a transaction or a savepoint of its own.  `require_item` raises when
    no item is to blame for an error; it is asked after the savepoint has been rolled back.  `parts` more than two fit
    where a refusal costs much more than an attempt.
    """
    refused: list[Refusal[T]] = []
    waiting = [items] if items else []
    while waiting:
        some = waiting.pop()
        try:
            attempt(some)
        except psycopg.Error as error:
            if not isinstance(error, Refused):
                require_item(error, some)
            if len(some) == 1:
                refused.append(refusal(some[0], error))
            else:
                width = -(-len(some) // parts)
                waiting += [some[start : start + width] for start in reversed(range(0, len(some), width))]
    return refused


_NOTHING = sql.SQL("")
# What is no item's fault is raised again.
_ON_SERVER = """
<<split>>
declare
  todo int[] := array[{first}, {last}];  -- a stack of segments, two numbers each
  lo int; hi int; width int; expected bigint; done bigint; state text; violated text; named text; found text := '';
  context text;
begin
  while cardinality(todo) > 0 loop
    lo := todo[cardinality(todo) - 1];
    hi := todo[cardinality(todo)];
    todo := todo[1 : cardinality(todo) - 2];
    begin
      if lo < hi then
        {attempt}
      else
        {one}
      end if;
    exception when others or assert_failure then
      get stacked diagnostics state = returned_sqlstate, violated = constraint_name, named = column_name,
        context = pg_exception_context;
      if state ~ {elsewhere} then
        raise;
      end if;
      if lo = hi then
        {refused}
      else
        width := (hi - lo + 8) / 8;
        for part in reverse (hi - lo) / width .. 0 loop
          todo := todo || array[lo + part * width, least(hi, lo + (part + 1) * width - 1)];
        end loop;
      end if;
    end;
  end loop;
  {ending}
end
"""


def halve_on_server(
    connection: Connection, first: int, last: int, attempt: sql.Composable, refused: sql.Composable,
    ending: sql.Composable = _NOTHING, one: sql.Composable | None = None,
) -> None:  # fmt: skip
    """`halve` on the server, for the numbers first to last, as one block of PL/pgSQL.

    `attempt` tries the numbers `split.lo` to `split.hi`; `refused` records `split.lo` as refused, with `split.state`
    (`violated`, `named`, `context`), in a table or in the text `found`.  `one` tries a single number, written so that
    all numbers share one plan: most attempts are of one number, and planning costs more than running them.
    """
    body = sql.SQL(_ON_SERVER).format(
        first=first, last=last, attempt=attempt, one=one or attempt, refused=refused, ending=ending, elsewhere=ELSEWHERE
    )
    connection.execute(sql.SQL("do {}").format(body.as_string(connection)))
