"""Which page answers which address; whoever has not signed in sees the way in, and no failure leaves as more than a
sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from hybrid_sync.dashboard import session
from hybrid_sync.dashboard.draw import asset, page
from hybrid_sync.dashboard.request import ROOT, Answer, Request, redirect
from hybrid_sync.dashboard.session import Prove, Visitor
from hybrid_sync.errors import RequestForbidden, RequestRejected, RunNotFound
from hybrid_sync.http.problems import problem_of
from hybrid_sync.services.desk import Desk
from hybrid_sync.services.views.overview import OverviewAsked, overview
from hybrid_sync.services.views.run import RunViewAsked, run_view

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_LONGEST_PART = 100
Page = Callable[..., Answer]


class Dashboard:
    """The pages over one deployment; `prove` says who a token is."""

    def __init__(self, desk: Desk, prove: Prove) -> None:
        self._desk = desk
        self._prove = prove

    def resolve(self, event: dict[str, Any]) -> dict[str, Any]:
        """One request in, one response out; no exception leaves."""
        try:
            request = Request.of(event)
        except RequestRejected as error:
            return Answer(str(error), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain; charset=utf-8").response()
        try:
            return self._answer(request).response()
        except Exception as error:  # noqa: BLE001 - the border: every failure leaves as a sentence
            return self._failed(request, error).response()

    def _answer(self, request: Request) -> Answer:
        parts = tuple(unquote(part) for part in request.parts)
        if any(len(part) > _LONGEST_PART for part in parts):
            raise _nowhere()
        if parts[:1] == ("assets",):
            return _asset(parts)
        if parts == ("sign-in",):
            return self._sign_in(request)
        who = session.visitor(request, self._prove)
        if who is None:
            return self._way_in(request)
        if request.method == "POST":
            return self._do(request, who, parts)
        return self._show(request, who, parts)

    # --- pages ---------------------------------------------------------------------------------------------------

    def _show(self, request: Request, who: Visitor, parts: tuple[str, ...]) -> Answer:
        match parts:
            case ():
                seen = overview(self._desk, OverviewAsked(), who.name)
                return _live("overview", request, who, view=seen, now=seen.at, busy=bool(seen.running))
            case ("runs", run_id):
                found = run_view(self._desk, RunViewAsked(run_id=run_id), who.name)
                return _live("run", request, who, view=found, now=found.at, busy=found.finished_at is None)
            case ("runs", run_id, "report"):
                return self._report(run_id, who)
        raise _nowhere()

    def _report(self, run_id: str, who: Visitor) -> Answer:
        """The run's report as it was made: a page of its own, whose policy it brings along."""
        from hybrid_sync.report.render import to_html
        from hybrid_sync.services.runs import RunAsked, report

        told = report(self._desk, RunAsked(run_id=run_id), who.name)
        if told.summary is None:
            raise RunNotFound(f"There is no report of {run_id}.", "It may still be at work.")
        from hybrid_sync.report.model import RunSummary

        text = to_html(RunSummary.model_validate(told.summary))
        policy = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
        return Answer(text, headers={"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})

    # --- acts ----------------------------------------------------------------------------------------------------

    def _do(self, request: Request, who: Visitor, parts: tuple[str, ...]) -> Answer:
        session.require_our_form(request, who.token)
        if parts == ("sign-out",):
            return redirect(f"{request.root}sign-in", *session.closed())
        raise _nowhere()

    # --- signing in ----------------------------------------------------------------------------------------------

    def _way_in(self, request: Request) -> Answer:
        """The sign-in page.  A browser that comes from elsewhere has kept its cookie back: it asks again by itself."""
        path = "/".join(quote(part, safe="") for part in request.parts)
        if request.method == "GET" and request.came_from_elsewhere and "again" not in request.query:
            return Answer(
                page("again.html", request, None, to=f"{request.root}{path}?again=1" if path else f"{ROOT}?again=1")
            )
        if request.is_update:  # the session has ended under an open page
            return Answer(headers={"HX-Redirect": f"{request.root}sign-in"})
        return redirect(f"{request.root}sign-in?next={quote(path)}")

    def _sign_in(self, request: Request, said: str = "") -> Answer:
        if request.method == "POST":
            return self._signed_in(request)
        secret, cookie = session.strange()
        drawn = page(
            "sign_in.html", request, None, csrf=session.csrf_of(secret), said=said, next=request.query.get("next", "")
        )
        return Answer(drawn, HTTPStatus.UNAUTHORIZED if said else HTTPStatus.OK, cookies=(cookie,))

    def _signed_in(self, request: Request) -> Answer:
        session.require_our_form(request, request.cookies.get(session.FORM, ""))
        token = request.form.get("token", "").strip()
        who = self._prove(token) if token else None
        if who is None:
            secret, cookie = session.strange()
            drawn = page(
                "sign_in.html", request, None, csrf=session.csrf_of(secret), next=request.form.get("next", ""),
                said="That token opens nothing here: it is unknown, expired, revoked, or may not read.",
            )  # fmt: skip
            return Answer(drawn, HTTPStatus.UNAUTHORIZED, cookies=(cookie,))
        return redirect(_within(request, request.form.get("next", "")), *session.opened(who.token))

    def _failed(self, request: Request, error: Exception) -> Answer:
        told = problem_of(error, request.request_id)
        who = None if isinstance(error, RequestForbidden) else session.visitor(request, self._prove)
        return Answer(page("failed.html", request, who, told=told), HTTPStatus(told.status))


def _within(request: Request, wanted: str) -> str:
    """Where somebody wanted to go, if that is one of our pages; else the overview."""
    parts = [part for part in wanted.split("/") if part]
    ours = bool(parts) and all(part not in (".", "..") and ":" not in part and "\\" not in part for part in parts)
    return f"{request.root}{'/'.join(quote(unquote(part), safe='') for part in parts)}" if ours else request.home


def _live(name: str, request: Request, who: Visitor, **given: Any) -> Answer:
    """A page, or what has changed in it since it was drawn: nothing at all where nothing has."""
    body = page(f"{name}_live.html", request, who, **given)
    seen = hashlib.sha256(body.encode()).hexdigest()[:16]
    if request.is_update:
        if request.query.get("seen") == seen:
            return Answer(status=HTTPStatus.NO_CONTENT)
        return Answer(page("live.html", request, who, body=body, seen=seen, **given))
    return Answer(page(f"{name}.html", request, who, body=body, seen=seen, **given))


def _asset(parts: tuple[str, ...]) -> Answer:
    found = asset(parts[-1]) if len(parts) == 3 else None
    if found is None:
        raise _nowhere()
    return Answer(found[0], kind=found[1], headers=_FOR_EVER)


def _nowhere() -> RunNotFound:
    return RunNotFound("There is nothing at this address.", f"Begin at /{ROOT}.")
