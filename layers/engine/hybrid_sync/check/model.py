"""What a check is asked, what it finds, and what it answers: no cell value is in any of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from hybrid_sync.admission.startable import CheckRequest
from hybrid_sync.contracts import Message

MOST_BYTES = 120_000
"""Of findings in the state machine's output, which may hold 256 KiB; the report has all of them."""


class Severity(StrEnum):
    """An error keeps a check from passing; a warning asks for a person; a note is what was seen."""

    error = "error"
    warning = "warning"
    note = "note"


class Finding(Message):
    """One thing that was seen: what, where and how much of it, and what to do about it."""

    severity: Severity
    code: str
    evidence: str
    remedy: str = ""


def error(code: str, evidence: str, remedy: str) -> Finding:
    return Finding(severity=Severity.error, code=code, evidence=evidence, remedy=remedy)


def warning(code: str, evidence: str, remedy: str) -> Finding:
    return Finding(severity=Severity.warning, code=code, evidence=evidence, remedy=remedy)


def note(code: str, evidence: str, remedy: str = "") -> Finding:
    return Finding(severity=Severity.note, code=code, evidence=evidence, remedy=remedy)


class StartedCheck(Message):
    """A check under way: the execution's name is its id."""

    check_id: str
    request: CheckRequest


class CheckOutcome(Message):
    """The state machine's output: what was found, the gravest first, as far as a state can carry it."""

    check_id: str
    passed: bool
    errors: int
    warnings: int
    notes: int
    findings: tuple[Finding, ...]
    left_out: int = 0
    """Findings that only the report has."""
    report: str = ""
    """Where it lies; empty when it could not be stored."""


def outcome(check_id: str, findings: Sequence[Finding], report: str) -> CheckOutcome:
    """The answer of a check; it has passed when nothing found is an error."""
    of = {severity: sum(f.severity is severity for f in findings) for severity in Severity}
    carried: list[Finding] = []
    octets = 0
    for finding in findings:
        octets += len(finding.model_dump_json())
        if octets > MOST_BYTES:
            break
        carried.append(finding)
    return CheckOutcome(
        check_id=check_id, passed=not of[Severity.error], errors=of[Severity.error], warnings=of[Severity.warning],
        notes=of[Severity.note], findings=tuple(carried), left_out=len(findings) - len(carried), report=report,
    )  # fmt: skip


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Each once, the gravest first, and otherwise in the order in which they were found."""
    ranks = list(Severity)
    return sorted(dict.fromkeys(findings), key=lambda finding: ranks.index(finding.severity))
