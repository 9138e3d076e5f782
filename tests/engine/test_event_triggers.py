"""An event trigger of the target that lets nobody change a table's definition: no row is to blame, and a sentence says
which function it was."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.entrypoint import error_sentence
from tests.engine.conftest import Query
from tests.engine.worlds import EngineWorld, run
from tests.servers.projects import Projects

FORBIDS = """
create function public.not_now() returns event_trigger language plpgsql as
  $$ begin raise exception 'nobody makes a % called secret', tg_tag; end $$;
create event trigger not_now on ddl_command_start execute function public.not_now();
"""

NESTED = """
create table public.notes (v text, w text check (w is null));
grant insert on public.notes to public;
create function public.helper() returns void language plpgsql as
  $$ begin insert into public.notes values ('secret(1)', 'of nobody
PL/pgSQL function public.secret() line 1 at RAISE
'); end $$;
create function public.not_now() returns event_trigger language plpgsql as $$ begin perform public.helper(); end $$;
create event trigger not_now on ddl_command_start execute function public.not_now();
"""

STANDS = "select max(xmin::text::bigint), (select count(*) from hybrid_sync.failed_record) from people"


@pytest.mark.parametrize(
    ("forbids", "told"),
    [
        (FORBIDS, "P0001 in the function public.not_now of target"),
        (NESTED, "23514 in the function public.helper, which public.not_now calls, of target"),
    ],
    ids=["itself", "what it calls"],
)
@pytest.mark.parametrize("profile", ["daily", "weekly"])
def test_who_forbids_temporary_tables_is_named_and_no_row_fails(
    world: EngineWorld,
    legacy: Query,
    target: Query,
    target_db: str,
    projects: Projects,
    profile: str,
    forbids: str,
    told: str,
) -> None:
    usual = run(world, "first").outcome.status
    legacy("update person set settings = null")
    before = target(STANDS)
    with psycopg.connect(projects.server.dsn(conninfo_to_dict(target_db)["dbname"]), autocommit=True) as superuser:
        superuser.execute(forbids.encode())
        with pytest.raises(psycopg.Error) as caught:
            run(world, "second", profile=profile)
        superuser.execute("drop event trigger not_now")
    said, _ = error_sentence(caught.value)
    assert told in said
    assert "secret" not in said
    assert target(STANDS) == before
    assert run(world, "third", profile=profile).outcome.status == usual
