"""The state of the deployment in one sentence, with its amounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hybrid_sync.report.document import Tone
from hybrid_sync.report.standing import Sum
from hybrid_sync.report.words import age, capital, n_of, percent
from hybrid_sync.services.views.model import Freshness, Money, Need, Rows, Running, State


def state(
    *,
    away: str,
    rows: Rows | None,
    money: Sequence[Money],
    freshness: Freshness,
    needs: Sequence[Need],
    running: Sequence[Running],
    now: datetime,
) -> State:
    """The worst that is true decides the tone; the numbers follow in any case."""
    if away:
        return State(tone=Tone.bad, sentence=f"Nobody can tell: {away}")
    said = [_numbers(rows, money), _fresh(freshness, now), _needs(needs), _running(running)]
    return State(tone=_tone(rows, needs), sentence=" ".join(part for part in said if part))


def _tone(rows: Rows | None, needs: Sequence[Need]) -> Tone:
    tones = {need.tone for need in needs}
    if Tone.bad in tones or (rows is not None and rows.adds_up == Sum.no):
        return Tone.bad
    if Tone.warning in tones or (rows is not None and rows.share is not None and rows.share < rows.goal):
        return Tone.warning
    return Tone.good if rows is not None else Tone.quiet


def _numbers(rows: Rows | None, money: Sequence[Money]) -> str:
    if rows is None:
        return "Nothing has been verified yet."
    share = f" ({percent(rows.share)})" if rows.share is not None else ""
    said = f"{rows.current:,} of {n_of(rows.due, 'row')} are in the target as legacy has them{share}"
    wrong = [one.currency for one in money if not one.equal]
    if wrong:
        return f"{said}, and money does not agree in {', '.join(wrong)}."
    if not money:
        return f"{said}."
    return f"{said}, and their money agrees to the cent in {n_of(len(money), 'currency', 'currencies')}."


def _fresh(freshness: Freshness, now: datetime) -> str:
    if freshness.complete_until is None:
        return ""
    return f"Nothing that legacy committed more than {age(now - freshness.complete_until)} ago is missing unexplained."


def _needs(needs: Sequence[Need]) -> str:
    return "" if not needs else f"{capital(n_of(len(needs), 'thing needs', 'things need'))} a person."


def _running(running: Sequence[Running]) -> str:
    at_work = sum(one.status == "running" for one in running)
    waiting = len(running) - at_work
    parts = [f"{n_of(at_work, 'run')} at work"] if at_work else []
    parts += [f"{waiting} waiting"] if waiting else []
    return f"{capital(', '.join(parts))}." if parts else ""
