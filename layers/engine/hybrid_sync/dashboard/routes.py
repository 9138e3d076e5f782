"""Which page answers which address; whoever has not signed in sees the way in, and no failure leaves as more than a
sentence."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from hybrid_sync.dashboard import provider_sign_in, session
from hybrid_sync.dashboard.draw import asset, page
from hybrid_sync.dashboard.identity import SignIn
from hybrid_sync.dashboard.pages import Pages
from hybrid_sync.dashboard.request import ROOT, Answer, Request, redirect
from hybrid_sync.dashboard.session import Opened, Visitor
from hybrid_sync.errors import RequestRejected
from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.problems import MEDIA, NothingHere, Unauthorized, problem_of
from hybrid_sync.services.desk import Desk

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_LONGEST_PART = 100


class Dashboard:
    """The pages over one deployment, for whoever has signed in."""

    def __init__(self, desk: Desk, identity: SignIn) -> None:
        self._desk = desk
        self._identity = identity
        self._pages = Pages(desk)

    def resolve(self, event: dict[str, Any]) -> dict[str, Any]:
        """One request in, one response out; no exception leaves."""
        try:
            request = Request.of(event)
        except RequestRejected as error:
            return Answer(str(error), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain; charset=utf-8").response()
        who: Visitor | None = None
        try:
            if request.parts[:1] == ("assets",):
                return _asset(request.parts).response()
            who, renewed = self._who(request)
            answer = self._answer(request, who)
            return replace(answer, cookies=answer.cookies or renewed).response()
        except Exception as error:  # noqa: BLE001 - the border: every failure leaves as a sentence
            problem = problem_of(error, request.request_id)
            if request.wants_json:
                return Answer(problem.model_dump_json(), HTTPStatus(problem.status), MEDIA).response()
            return Answer(page("failed.html", request, who, problem=problem), HTTPStatus(problem.status)).response()

    def _who(self, request: Request) -> tuple[Visitor | None, tuple[str, ...]]:
        """Who sends it, and the cookies of a session that has been given a new token."""
        if request.bearer:
            return self._identity.prove(request.bearer), ()
        token, renewal = request.cookies.get(COOKIE, ""), request.cookies.get(session.RENEWAL, "")
        who = self._identity.prove(token) if token else None
        if who is not None or not renewal:
            return who, ()
        opened = self._identity.renew(renewal)
        who = self._identity.prove(opened.token) if opened else None
        return who, session.cookies_of(opened) if opened and who else ()

    def _answer(self, request: Request, who: Visitor | None) -> Answer:
        parts = tuple(unquote(part) for part in request.parts)
        if any(len(part) > _LONGEST_PART for part in parts):
            raise nowhere()
        if parts == ("sign-in",):
            return self._signed_in(request) if request.method == "POST" else self._sign_in(request)
        if parts == (provider_sign_in.BACK,):
            return self._back(request)
        if who is None:
            return self._way_in(request)
        if request.method == "POST":
            return self._do(request, who, parts)
        return self._pages.show(request, who, parts)

    def _do(self, request: Request, who: Visitor, parts: tuple[str, ...]) -> Answer:
        """Do what a form asks; the page that it leads to shows the result."""
        session.require_our_form(request, who)
        match parts:
            case ("sign-out",):
                return redirect(f"{request.root}sign-in", *session.closed())
            case ("act", kind):
                from hybrid_sync.dashboard import acts  # few visits are for an act

                done = acts.do(self._desk, request, who, kind)
                if done.again:
                    return Answer(page("goes_on.html", request, who, done=done, kind=kind))
                return redirect(
                    f"{request.root}{done.href}?did={done.said}" if done.href else f"{request.home}?did={done.said}"
                )
        raise nowhere()

    # --- signing in ----------------------------------------------------------------------------------------------

    def _way_in(self, request: Request) -> Answer:
        """The sign-in page.  A browser that another site led here sends no cookie: it asks again by itself."""
        path = "/".join(quote(part, safe="") for part in request.parts)
        if request.method == "GET" and request.came_from_elsewhere and "again" not in request.query:
            to = f"{request.root}{path}?again=1" if path else f"{ROOT}?again=1"
            return Answer(page("again.html", request, None, to=to))
        if request.wants_json:
            raise Unauthorized(
                "The request shows nothing that could let it in.", "Send a token as Authorization: Bearer."
            )
        if request.is_update:  # the session has ended under an open page
            return Answer(headers={"HX-Redirect": f"{request.root}sign-in"})
        return redirect(f"{request.root}sign-in?next={quote(path)}")

    def _sign_in(self, request: Request, said: str = "", wanted: str = "") -> Answer:
        """A session begins here, before anybody has proved anything: its secret makes the form ours."""
        secret, cookie = session.new_form()
        fresh = replace(request, cookies={session.FORM: secret})
        wanted = wanted or request.form.get("next", "") or request.query.get("next", "")
        drawn = page(
            "sign_in.html", fresh, None, said=said, next=wanted, people=self._identity.knows_people,
            providers=self._identity.providers,
        )  # fmt: skip
        return Answer(drawn, HTTPStatus.UNAUTHORIZED if said else HTTPStatus.OK, cookies=(cookie,))

    def _signed_in(self, request: Request) -> Answer:
        session.require_our_form(request, None)
        if provider := request.form.get("provider", ""):
            return self._leave(request, provider)
        if "code" in request.form:
            opened, wanted = self._identity.by_second_factor(request)
            return self._entered(request, opened, wanted, "The code is not the right one, or it took too long.")
        token = request.form.get("token", "").strip()
        given = (request.form.get("email", "").strip(), request.form.get("password", ""))
        opened = Opened(token) if token else self._identity.by_password(*given)
        return self._entered(request, opened, request.form.get("next", ""), "E-mail and password let nobody in.")

    def _leave(self, request: Request, provider: str) -> Answer:
        """By a page and not by a redirect: our policy lets no form lead anywhere else."""
        left = self._identity.to_provider(request, provider)
        if left is None:
            return self._sign_in(request, "Nobody signs in by that here.")
        return Answer(page("again.html", request, None, to=left[0]), cookies=(left[1],))

    def _back(self, request: Request) -> Answer:
        """From a provider.  The next page is asked for by a page of ours, which our strict cookies go along with."""
        opened, wanted = self._identity.from_provider(request)
        answer = self._entered(request, opened, wanted, "The provider let nobody in, or it took too long.")
        if answer.status != HTTPStatus.SEE_OTHER:
            return answer
        return Answer(page("again.html", request, None, to=answer.headers["Location"]), cookies=answer.cookies)

    def _entered(self, request: Request, opened: Opened | None, wanted: str, said: str) -> Answer:
        """On to where they wanted to go, once they have proved who they are; `said` to whom nothing was opened."""
        if opened is None:
            return self._sign_in(request, said, wanted)
        if self._identity.prove(opened.token) is None:
            if not self._identity.wants_second_factor(opened):
                return self._sign_in(
                    request, "Known, perhaps, but not let in here: an administrator gives roles and scopes."
                )
            if not opened.factors:
                return self._sign_in(request, "Your role asks for a second factor: enrol one, then sign in again.")
            secret, form = session.new_form()
            fresh = replace(request, cookies={session.FORM: secret})
            return Answer(
                page("second_factor.html", fresh, None),
                cookies=(form, self._identity.await_second_factor(opened, wanted)),
            )
        _, form = session.new_form()
        cookies = (*session.cookies_of(opened), form, provider_sign_in.expired_cookie())
        return redirect(_within(request, wanted), *cookies)


def _within(request: Request, wanted: str) -> str:
    """The page that was asked for, if it is one of ours; else the overview."""
    parts = [part for part in wanted.split("/") if part]
    ours = bool(parts) and all(part not in (".", "..") and ":" not in part and "\\" not in part for part in parts)
    return f"{request.root}{'/'.join(quote(unquote(part), safe='') for part in parts)}" if ours else request.home


def _asset(parts: tuple[str, ...]) -> Answer:
    found = asset(parts[-1]) if len(parts) == 3 else None
    if found is None:
        raise nowhere()
    return Answer(found[0], kind=found[1], headers=_FOR_EVER)


def nowhere() -> NothingHere:
    return NothingHere("There is nothing at this address.", f"Begin at /{ROOT}.")
