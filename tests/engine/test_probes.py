"""What holds for every probe: it can write nothing, and what stands in the way of one hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from hybrid_sync.check.context import Parts, ProbeContext
from hybrid_sync.check.model import Finding, note
from hybrid_sync.check.probe import Probe, look, probe
from hybrid_sync.check.probes.people import erased_under_this_secret, people_have_a_policy, records_stay
from tests.engine.conftest import Query
from tests.engine.erasures import erase_rows, with_erasure
from tests.engine.worlds import EngineWorld, run


@pytest.fixture
def context(world: EngineWorld) -> Iterator[ProbeContext]:
    """Both sides, as a check looks at them."""
    with ExitStack() as opened:
        legacy, target = (opened.enter_context(one) for one in (world.connect_legacy(), world.connect_target()))
        yield ProbeContext("check-probes", world.catalog, {"legacy": legacy, "target": target}, world.now, None, 4)


@probe("target")
def writes(context: ProbeContext) -> Iterator[Finding]:
    """Whether a probe could write."""
    context.rows("target", "insert into hybrid_sync.entity_state (entity) values ('nobody') returning entity")
    yield note("written", "A probe has written.")


@probe()
def breaks(context: ProbeContext) -> Iterator[Finding]:
    """Whether a mistake of one probe costs the others."""
    yield note("before", "This was seen.")
    raise ValueError("a cell value")


@probe()
def works(context: ProbeContext) -> Iterator[Finding]:
    """Whether the next one looks all the same."""
    yield note("after", "This was seen, too.")


def test_the_server_itself_refuses_what_a_probe_would_write(context: ProbeContext) -> None:
    [finding] = look(context, [writes])
    assert finding.code == "could_not_look"
    assert context.rows("target", "select entity from hybrid_sync.entity_state where entity = 'nobody'") == []


def test_a_probe_that_breaks_is_a_finding_and_hides_no_other(context: ProbeContext) -> None:
    found = {finding.code: finding for finding in look(context, [breaks, works])}
    assert set(found) == {"before", "could_not_look", "after"}
    assert "ValueError" in found["could_not_look"].evidence
    assert "cell value" not in found["could_not_look"].evidence


def codes(context: ProbeContext, *probes: Probe) -> dict[str, Finding]:
    return {finding.code: finding for finding in look(context, probes)}


def test_columns_that_look_personal_and_have_no_policy_are_named(world: EngineWorld, context: ProbeContext) -> None:
    [told] = [f for f in look(context, [people_have_a_policy]) if "people" in f.evidence]
    assert (told.code, told.severity) == ("no_erasure", "note")
    assert "email, born" in told.evidence
    with_erasure(world, people={"policy": "pseudonymise", "set": {"email": None}})
    found = codes(replace(context, catalog=world.catalog), people_have_a_policy)
    assert found["personal_columns"].evidence == "Erasing a row of people leaves columns that look personal: born."
    with_erasure(world)
    assert not codes(replace(context, catalog=world.catalog), people_have_a_policy)


@pytest.mark.parametrize("table", ["audit", "erasure", "suppressed"])
def test_records_that_our_role_could_rewrite_are_named(context: ProbeContext, target: Query, table: str) -> None:
    assert not codes(context, records_stay)
    target(f"grant update, truncate on hybrid_sync.{table} to hybrid_sync_worker")
    told = codes(context, records_stay)["records_changeable"]
    assert told.evidence == f"Our role may update, truncate hybrid_sync.{table}."
    assert f'revoke update, truncate on "hybrid_sync"."{table}" from "hybrid_sync_worker";' in told.remedy


@pytest.mark.parametrize("trigger", ["chain", "stays"])
def test_an_audit_trail_without_its_guards_is_told(context: ProbeContext, target: Query, trigger: str) -> None:
    target(f"alter table hybrid_sync.audit disable trigger {trigger}")
    assert trigger in codes(context, records_stay)["audit_unguarded"].evidence


def test_another_id_secret_is_told_before_a_run_stops_at_it(world: EngineWorld, context: ProbeContext) -> None:
    with_erasure(world)
    run(world, "first")
    erase_rows(world, (3,))
    parts = [Parts(lambda name: None, "", "", "", "", "", lambda one=one: one) for one in (world.id_secret, b"x")]
    same, other = (codes(replace(context, parts=one), erased_under_this_secret) for one in parts)
    assert not same
    assert "recorded under another id secret" in other["other_secret"].evidence
