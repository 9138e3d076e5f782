"""Why a row can fail: one table from reason code to meaning, remedy and whether a retry can help."""

from __future__ import annotations

from enum import StrEnum

from hybrid_sync.dataclass import dataclass


class Kind(StrEnum):
    """Where the remedy lies."""

    reference = "reference"
    """Another row has to arrive first."""
    legacy_data = "legacy_data"
    """The row in legacy is not what it should be."""
    catalog = "catalog"
    """The catalog does not say what to do with this row."""
    target = "target"
    """The target refuses a value that legacy allows."""


@dataclass(frozen=True)
class Reason:
    """Sentences for an operator; `retryable`: the same key may succeed later by itself."""

    kind: Kind
    meaning: str
    remedy: str
    retryable: bool


REASONS: dict[str, Reason] = {
    "missing_parent": Reason(
        Kind.reference,
        "The row refers to a legacy row that is not in the target, or that legacy itself does not have.",
        "Sync the parent, or repair the orphan in legacy; the row is retried when its parent arrives.",
        retryable=True,
    ),
    "wrong_reference": Reason(
        Kind.reference,
        "The row was written with a reference to another row than legacy names: the id cache held a wrong id.",
        "Nothing to do for the row: the cache was forgotten, and the row is read again. Find out who can write to the"
        " id map's table.",
        retryable=True,
    ),
    "bad_json": Reason(
        Kind.legacy_data,
        "A column that must hold JSON holds something else.",
        "Correct the text in legacy; the next run reads the row again.",
        retryable=False,
    ),
    "bad_text": Reason(
        Kind.legacy_data,
        "A text holds a character that the target cannot store, such as a zero byte.",
        "Remove the character in legacy; the next run reads the row again.",
        retryable=False,
    ),
    "bad_value": Reason(
        Kind.target,
        "The type of a target column does not take the value.",
        "Compare the column's type with legacy's, and correct the row or the catalog's expression.",
        retryable=False,
    ),
    "unknown_mark": Reason(
        Kind.target,
        "The row stays marked as deleted: a column that its mark had set is not there, and no run recorded its number.",
        "Give the column its old name back, or add one of that name where it was dropped; the next run brings the row"
        " back, and the column can then be renamed or dropped again.",
        retryable=False,
    ),
    "expression_failed": Reason(
        Kind.legacy_data,
        "Legacy cannot compute the row: an expression of the catalog fails on it, such as a cast or a division.",
        "Look up the SQLSTATE of the failed record; correct the row in legacy, or the expression in the catalog.",
        retryable=False,
    ),
    "unknown_enum": Reason(
        Kind.catalog,
        "A code has no word in the catalog's enum map, or is no label of the target's enum type.",
        "Add the code to `values` in the entity's catalog file, or the label to the target's type; or correct the"
        " row in legacy.",
        retryable=False,
    ),
    "unique_violation": Reason(
        Kind.target,
        "Another row of the target already has this unique value.",
        "Find the other row by the named constraint: merge the two, or correct the value in legacy. Where the other row"
        " is marked as deleted, a partial unique index in the target (… where deleted_at is null) sets the value free;"
        " where rows exchange values and have nowhere to put them meanwhile, a DEFERRABLE constraint does. Where the"
        " other row is gone from legacy and stays only because rows refer to it that wait for this one, give it another"
        " value in the target: the next run puts everything right.",
        retryable=True,
    ),
    "exclusion_violation": Reason(
        Kind.target,
        "The row overlaps another one, which an exclusion constraint of the target forbids.",
        "Find the other row by the named constraint, and correct one of the two in legacy. Where rows change places"
        " and have nowhere to wait meanwhile, make the constraint DEFERRABLE.",
        retryable=True,
    ),
    "check_violation": Reason(
        Kind.target,
        "A check constraint of the target refuses the row.",
        "Correct the value in legacy, or widen the named constraint in the target.",
        retryable=False,
    ),
    "not_null_violation": Reason(
        Kind.target,
        "A column that the target requires is empty in legacy.",
        "Fill the column in legacy, or give it a value for this case in the catalog.",
        retryable=False,
    ),
    "foreign_key_violation": Reason(
        Kind.target,
        "A foreign key of the target points to a row that is not there.",
        "Sync the parent again; if it was deleted natively in the target, restore it.",
        retryable=True,
    ),
    "value_too_long": Reason(
        Kind.target,
        "A text is longer than the target column allows.",
        "Widen the column in the target, or shorten the text in legacy.",
        retryable=False,
    ),
    "numeric_out_of_range": Reason(
        Kind.target,
        "A number is larger than the target column allows.",
        "Widen the column in the target, or correct the number in legacy.",
        retryable=False,
    ),
    "row_too_large": Reason(
        Kind.target,
        "A value is larger than the target can hold, index, or keep in the journal as it was before the change.",
        "Shorten the value on the side where it is that large, or take the column out of the catalog or the index.",
        retryable=False,
    ),
    "numeric_scale": Reason(
        Kind.target,
        "A number has more decimals than the target column keeps, and money is never rounded.",
        "Give the target column the decimals of legacy, or correct the number in legacy.",
        retryable=False,
    ),
    "cast_loses": Reason(
        Kind.target,
        "The target column's type cannot hold the value exactly: it would be rounded, cut or padded.",
        "Give the target column a type that holds what legacy has, or correct the value in legacy.",
        retryable=False,
    ),
    "trigger_exception": Reason(
        Kind.target,
        "A trigger of the target refuses the row.",
        "Read the trigger's rule in the target; correct the row in legacy, or the trigger.",
        retryable=True,
    ),
    "invalid_encoding": Reason(
        Kind.legacy_data,
        "A text is not valid in its encoding.",
        "Correct the bytes in legacy; the next run reads the row again.",
        retryable=False,
    ),
    "ambiguous_adoption": Reason(
        Kind.reference,
        "The row is new, and it is not certain which native row of the target is the same: more than one fits.",
        "Merge the native rows, or exclude or merge the doubled rows in legacy, so that one fits on each side.",
        retryable=True,
    ),
    "duplicate_key": Reason(
        Kind.legacy_data,
        "Several rows of legacy share this legacy key, so none of them is written.",
        "Remove the duplicate in legacy, or make the join in the catalog file match at most one row.",
        # A row that goes leaves no trace in the one that stays.
        retryable=True,
    ),
    "null_key": Reason(
        Kind.legacy_data,
        "Rows of legacy have no value in a column of their key, so nothing distinguishes them; one record counts them.",
        "Fill the key column in legacy, or exclude such rows by a rule in the entity's catalog file.",
        retryable=False,
    ),
    "ambiguous_reference": Reason(
        Kind.legacy_data,
        "A generic reference names more than one parent.",
        "Correct the row in legacy, or the alternatives under `any` in the catalog file.",
        retryable=False,
    ),
    "trigger_suppressed": Reason(
        Kind.target,
        "A trigger or a row security policy of the target left the row out without an error.",
        "Read the trigger's rule and the table's policies in the target; correct the row in legacy, or the rule.",
        retryable=True,
    ),
    "trigger_changed_identity": Reason(
        Kind.target,
        "A trigger of the target gave the row another id or legacy key, or deleted it, so it was not written.",
        "Make the trigger leave `id` and the legacy key as they are; both are what makes the row findable.",
        retryable=True,
    ),
    "trigger_changed_value": Reason(
        Kind.target,
        "A trigger of the target changed a mapped column after it was written, so the row is there with other values.",
        "Take the column out of the catalog, or make the trigger leave it as it is.",
        retryable=False,
    ),
    "policy_violation": Reason(
        Kind.target,
        "A row security policy of the target refuses the row.",
        "Widen the policy for the worker's role, or give that role BYPASSRLS (`hybrid-sync install`).",
        retryable=True,
    ),
    "contended": Reason(
        Kind.target,
        "The row was locked, or ended in a deadlock, at every attempt.",
        "Look for the session in the target that holds it; the row is tried again.",
        retryable=True,
    ),
    "too_slow": Reason(
        Kind.target,
        "Writing this row alone takes longer than a statement may.",
        "Look at what its triggers and foreign keys do; a missing index is the usual cause.",
        retryable=False,
    ),
    "rolled_back": Reason(
        Kind.target,
        "The run that wrote this version was rolled back.",
        "Release the entity when the cause is settled; the next run reads the row again.",
        retryable=True,
    ),
    "other": Reason(
        Kind.target,
        "The target refused the row for a reason that has no name here.",
        "Look up the SQLSTATE of the failed record, correct the cause, and retry the record.",
        retryable=True,
    ),
}


def reason_of(code: str) -> Reason:
    """The reason for `code`; a code that is not in the table is the name of a `fail` rule in the catalog."""
    return REASONS.get(code) or Reason(
        Kind.catalog,
        f"The catalog's rule `{code}` refuses the row.",
        "Correct the row in legacy, or change the rule in the entity's catalog file.",
        retryable=False,
    )
