"""What each address shows: a view of the deployment, drawn whole or, for a page that is open, where it has changed."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus
from typing import Any

from hybrid_sync.contracts import Ref
from hybrid_sync.dashboard.draw import page
from hybrid_sync.dashboard.request import ROOT, Answer, Request
from hybrid_sync.dashboard.session import Visitor
from hybrid_sync.entrypoint import parsed
from hybrid_sync.errors import RequestRejected, RunNotFound
from hybrid_sync.http.problems import NothingHere
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.messages.runs import OverviewAsked, RunAsked
from hybrid_sync.services.views.entity import EntitiesAsked, EntityAsked, entities, entity_view
from hybrid_sync.services.views.overview import overview
from hybrid_sync.services.views.run import RunViewAsked, run_view

_REF = re.compile(
    r"^(?P<entity>[a-z_][a-z0-9_]*)(?:/(?P<source>[a-z_][a-z0-9_]*))?:(?P<key>-?\d{1,19}(?:,-?\d{1,19})*)$"
)
_PAGE_LINES = 50


class Pages:
    """Every page that only looks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def show(self, request: Request, who: Visitor, parts: tuple[str, ...]) -> Answer:
        """NothingHere where there is no such page."""
        desk, name = self._desk, who.name
        match parts:
            case ():
                seen = overview(desk, OverviewAsked(), name)
                return _live("overview", request, who, view=seen, now=seen.at, busy=bool(seen.running))
            case ("runs", run_id):
                found = run_view(desk, RunViewAsked(run_id=run_id), name)
                return _live("run", request, who, view=found, now=found.at, busy=found.finished_at is None)
            case ("runs", run_id, "report"):
                return self._report(run_id, name)
            case ("entities",):
                listed = entities(desk, EntitiesAsked(), name)
                return _live("entities", request, who, view=listed, now=listed.at, busy=False)
            case ("entities", entity):
                one = entity_view(desk, EntityAsked(entity=entity), name)
                return _live("entity", request, who, view=one, now=one.at, busy=False)
            case ("levels",):
                from hybrid_sync.services.levels import levels  # what few pages need
                from hybrid_sync.services.messages.measures import LevelsAsked

                goals = levels(desk, LevelsAsked(), name)
                return _live("levels", request, who, view=goals, now=goals.at, busy=False)
            case ("records",):
                return self._record(request, who)
            case ("usage",):
                return self._usage(request, who)
            case ("performance",):
                return self._performance(request, who)
            case ("performance", "advice"):
                from hybrid_sync.services.advice import advise
                from hybrid_sync.services.messages.measures import AdviceAsked

                advice = advise(desk, AdviceAsked(), name)
                return _looked("advice", request, who, answer=advice, now=desk.now())
            case ("audit",):
                return self._audit(request, who)
            case ("act", kind):
                of = request.query.get("of", "")
                from hybrid_sync.dashboard import acts  # few visits are for an act

                before = acts.show(desk, kind, of)
                return Answer(page("act.html", request, who, before=before, kind=kind, of=of, now=desk.now()))
        raise NothingHere("There is nothing at this address.", f"Begin at /{ROOT}.")

    def _report(self, run_id: str, name: str) -> Answer:
        """The run's report as it was made: a page of its own, whose policy it brings along."""
        from hybrid_sync.report.model import RunSummary
        from hybrid_sync.report.render import to_html
        from hybrid_sync.services.runs import report

        answer = report(self._desk, RunAsked(run_id=run_id), name)
        if answer.summary is None:
            raise RunNotFound(f"There is no report of {run_id}.", "It may still be at work.")
        text = to_html(RunSummary.model_validate(answer.summary))
        policy = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
        return Answer(text, headers={"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})

    def _record(self, request: Request, who: Visitor) -> Answer:
        """What touched one legacy key; the form that asks for one where none is named."""
        from hybrid_sync.services.history import history  # what few visits ask for
        from hybrid_sync.services.messages.records import HistoryAsked

        asked, answer, said = request.query.get("ref", "").strip(), None, ""
        if asked:
            try:
                answer = history(self._desk, HistoryAsked(ref=_ref(asked), limit=200), who.name)
            except RequestRejected as error:
                said = str(error)
        if request.wants_json and answer is not None:
            return Answer(answer.model_dump_json(), kind="application/json")
        drawn = page("record.html", request, who, answer=answer, asked=asked, said=said, now=self._desk.now())
        return Answer(drawn, HTTPStatus.UNPROCESSABLE_ENTITY if said else HTTPStatus.OK)

    def _usage(self, request: Request, who: Visitor) -> Answer:
        from hybrid_sync.services.messages.measures import UsageAsked  # what few visits ask for
        from hybrid_sync.services.usage import usage

        answer = usage(self._desk, parsed(UsageAsked, {"days": request.query.get("days") or 28}), who.name)
        return _looked("usage", request, who, answer=answer, now=self._desk.now())

    def _performance(self, request: Request, who: Visitor) -> Answer:
        """Of the run that is asked for, else of the last that was measured; a sentence where there is none."""
        from hybrid_sync.services.messages.measures import PerformanceAsked
        from hybrid_sync.services.performance import performance

        run = request.query.get("run", "").strip()
        try:
            answer = performance(self._desk, parsed(PerformanceAsked, {"run_id": run}), who.name)
        except RunNotFound as error:
            if request.wants_json:
                raise
            drawn = page("performance.html", request, who, answer=None, run=run, said=str(error), now=self._desk.now())
            return Answer(drawn, HTTPStatus.NOT_FOUND if run else HTTPStatus.OK)
        return _looked("performance", request, who, answer=answer, run=run, said="", now=self._desk.now())

    def _audit(self, request: Request, who: Visitor) -> Answer:
        from hybrid_sync.services.messages.trail import TrailAsked  # what few visits ask for
        from hybrid_sync.services.trail import audit

        named = {name: text for name in ("who", "command", "outcome", "before") if (text := request.query.get(name))}
        answer = audit(self._desk, parsed(TrailAsked, {**named, "limit": _PAGE_LINES}), who.name)
        return _looked("audit", request, who, answer=answer, named=named, now=self._desk.now())


def _ref(text: str) -> Ref:
    """`payments:12`, `case_messages/comment:12`, `role_permissions:3,7`."""
    form = _REF.match(text)
    if form is None:
        raise RequestRejected("That names no row.", "Write entity:key, or entity/source:key, as in payments:12.")
    key = [int(part) for part in form["key"].split(",")]
    given = {"entity": form["entity"], "source": form["source"], "legacy_id": key}
    return parsed(Ref, given)


def _looked(name: str, request: Request, who: Visitor, **given: Any) -> Answer:
    """A page that is drawn once, or what is behind it."""
    if request.wants_json:
        return Answer(given["answer"].model_dump_json(), kind="application/json")
    return Answer(page(f"{name}.html", request, who, **given))


def _live(name: str, request: Request, who: Visitor, **given: Any) -> Answer:
    """A page, or what has changed in it since it was drawn: nothing at all where nothing has."""
    if request.wants_json:
        return Answer(given["view"].model_dump_json(), kind="application/json")
    body = page(f"{name}_live.html", request, who, **given)
    seen = hashlib.sha256(body.encode()).hexdigest()[:16]
    if request.is_update:
        if request.query.get("seen") == seen:
            return Answer(status=HTTPStatus.NO_CONTENT)
        return Answer(page("live.html", request, who, body=body, seen=seen, **given))
    return Answer(page(f"{name}.html", request, who, body=body, seen=seen, **given))
