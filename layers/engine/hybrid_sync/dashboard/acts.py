"""What a person can do here: each act says first what follows, needs the operator's role, and is in the audit trail."""

from __future__ import annotations

from hybrid_sync.dashboard import entity_acts, run_acts
from hybrid_sync.dashboard.act import Before, Done, Kind
from hybrid_sync.dashboard.request import Request
from hybrid_sync.dashboard.session import Visitor
from hybrid_sync.errors import RequestForbidden, RequestRejected
from hybrid_sync.http.act import Act
from hybrid_sync.services.audit import Caller
from hybrid_sync.services.desk import Desk

KINDS: dict[str, Kind] = {**run_acts.KINDS, **entity_acts.KINDS}


def show(desk: Desk, kind: str, of: str) -> Before:
    """What the act of this kind would do to `of`, for the page that asks for a confirmation; changes nothing."""
    return _kind(kind).before(desk, of)


def do(desk: Desk, request: Request, who: Visitor, kind: str) -> Done:
    """Do the act; RequestForbidden where the role may not, which the audit records, too."""
    one, of = _kind(kind), request.form.get("of", "")
    caller = Caller(who.name, request.source_ip, request.request_id)
    with Act(desk, caller, one.command, changes=True) as act:
        act.asked({"of": of})
        if who.role < one.role:
            raise RequestForbidden(f"To {kind} needs the role {one.role.name}.", "Ask an operator.")
        asked = one.asks(desk, of, request.form)
        act.asked(asked.model_dump(mode="json", exclude_defaults=True), goes_on=asked.goes_on)
        answer = one.serve(desk, asked, who.name)
        act.answered(answer)
    return one.done(of, answer)


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise RequestRejected(f"There is no act {kind}.", "Begin at the overview.")
    return KINDS[kind]
