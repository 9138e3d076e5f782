"""Batches cover every changed bucket once, in order, and ids are minted alike for ever."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from types import SimpleNamespace

import pytest

from hybrid_sync.contracts import EntityTask
from hybrid_sync.errors import LegacyReplaced
from hybrid_sync.ids.mint import minter
from hybrid_sync.legacy.changes import Bucket
from hybrid_sync.legacy.fence import MAX_AGE, Fence, older, require_same, why_unusable
from hybrid_sync.runs.store import EntityRecord
from hybrid_sync.steps.plan_entity import _BATCH_BYTES, _batches, cut, runs_of
from tests.properties import given, st

buckets = st.dictionaries(
    st.integers(-1000, 5000), st.tuples(st.integers(1, 500), st.integers(0, 2 * _BATCH_BYTES)), max_size=60
).map(lambda d: [Bucket(n, *of) for n, of in sorted(d.items())])


@given(buckets, st.integers(1, 6000))
def test_batches_hold_every_bucket_once_and_never_more_rows_than_asked(counts: list[Bucket], size: int) -> None:
    of = {bucket.n: bucket for bucket in counts}
    batches = list(cut(counts, size))
    assert [n for batch in batches for n in batch] == [bucket.n for bucket in counts]
    assert all(sum(of[n].rows for n in batch) <= size or len(batch) == 1 for batch in batches)
    assert all(sum(of[n].octets for n in batch) <= _BATCH_BYTES or len(batch) == 1 for batch in batches)


@pytest.mark.parametrize(
    ("rows", "shares"),
    [(20_000, [20_000]), (20_500, [10_500, 10_000]), (54_500, [18_500, 18_000, 18_000]), (60_000, [20_000] * 3)],
)
def test_batches_share_rows_out_evenly_and_are_no_more_than_need_be(rows: int, shares: list[int]) -> None:
    batches = cut([Bucket(n, 500) for n in range(rows // 500)], 20_000)
    assert [500 * len(batch) for batch in batches] == shares


@pytest.mark.parametrize(
    ("rows", "shares"),
    [
        (7_500, [7_500]), (9_000, [4_500, 4_500]), (22_500, [4_500] * 5), (60_000, [10_000] * 6),
        (200_000, [10_000] * 20),
    ],
)  # fmt: skip
def test_a_days_changes_make_five_batches_where_their_rows_are_worth_it(rows: int, shares: list[int]) -> None:
    batches = cut([Bucket(n, 500) for n in range(rows // 500)], 10_000, 5)
    assert [500 * len(batch) for batch in batches] == shares


@given(st.sets(st.integers(-50, 50)).map(sorted))
def test_runs_are_the_same_numbers(numbers: list[int]) -> None:
    assert [n for first, last in runs_of(numbers) for n in range(first, last + 1)] == numbers


def test_an_id_depends_on_secret_entity_source_and_key_and_on_nothing_else() -> None:
    same = {*minter(b"s", "people", "person")([(7,), (7,)]), *minter(b"s", "people", "person")([(7,)])}
    assert len(same) == 1
    others = {
        *minter(b"t", "people", "person")([(7,)]), *minter(b"s", "people", "human")([(7,)]),
        *minter(b"s", "visits", "person")([(7,)]), *minter(b"s", "people", "person")([(8,)]), *same,
    }  # fmt: skip
    assert len(others) == 5


@given(
    st.binary(min_size=1, max_size=200), st.text(max_size=20), st.text(max_size=20), st.lists(st.tuples(st.integers()))
)
def test_ids_are_those_of_every_release_before(
    secret: bytes, entity: str, source: str, keys: list[tuple[int, ...]]
) -> None:
    def of(key: tuple[int, ...]) -> uuid.UUID:
        digest = hmac.new(secret, f"{entity}\0{source}\0{key[0]}".encode(), hashlib.sha256).digest()
        bits = int.from_bytes(digest[:16], "big") & ~(0xF << 76) & ~(0x3 << 62)
        return uuid.UUID(int=bits | 0x8 << 76 | 0x2 << 62)

    assert [uuid.UUID(bytes=made) for made in minter(secret, entity, source)(keys)] == list(map(of, keys))


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers())), st.integers(0, 2**40))
def test_under_an_ordered_secret_the_first_40_bits_count_keys_from_a_number_of_the_secret(
    rest: bytes, keys: list[tuple[int]], more: int
) -> None:
    secret = b"ordered:" + rest
    begins = hmac.new(secret, b"hybrid-sync: first id of people\0person\0", hashlib.sha256).digest()[:5]
    for (key,), made in zip(keys, minter(secret, "people", "person")(keys), strict=True):
        digest = hmac.new(secret, f"people\0person\0{key}".encode(), hashlib.sha256).digest()
        bits = int.from_bytes(digest[:16], "big") & ~(0xF << 76) & ~(0x3 << 62) & (1 << 88) - 1
        first = (int.from_bytes(begins, "big") + key) % 2**40
        assert made == uuid.UUID(int=first << 88 | bits | 0x8 << 76 | 0x2 << 62).bytes
    # The order ends where the count begins anew, once in 2**40 keys.
    (one,), (other,) = (minter(secret, "people", "person")([(key,)]) for key in (0, more % (2**40 - 1) + 1))
    assert one < other or other[:5] < begins


def test_ids_of_several_parts_have_no_order_and_two_tables_begin_elsewhere() -> None:
    mint, secret = minter(b"ordered:s", "people", "person"), b"ordered:s"
    assert [made[:5] for made in mint([(1, 2), (1, 3)])] == [
        hmac.new(secret, b"people\0person\0" + key, hashlib.sha256).digest()[:5] for key in (b"1,2", b"1,3")
    ]
    starts = {
        minter(secret, *which)([(1,)])[0][:5] for which in (("people", "person"), ("people", "human"), ("a", "b"))
    }
    assert len(starts) == 3


@given(st.sampled_from([b"s", b"ordered:s"]), st.tuples(st.integers()) | st.tuples(st.integers(), st.integers()))
def test_an_id_is_a_uuid_of_version_8(secret: bytes, key: tuple[int, ...]) -> None:
    [identity] = minter(secret, "people", "person")([key])
    made = uuid.UUID(bytes=identity)
    assert (made.version, made.variant) == (8, uuid.RFC_4122)


def fence(**changed: object) -> Fence:
    usual = {"snapshot": "10:10:", "xmin": 1000, "xmax": 1000, "system_identifier": "1", "timeline": 1, "database": 5,
             "lsn": "0/1", "taken_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    return Fence.model_validate(usual | changed)


def test_a_fence_is_trusted_only_on_its_own_server_and_within_its_age() -> None:
    now = fence(xmin=5000, xmax=5000)
    assert why_unusable(fence(), now) is None
    assert why_unusable(None, now) == "first_time"
    assert why_unusable(fence(system_identifier="2"), now) == "other_system"
    assert why_unusable(fence(timeline=2), now) == "other_timeline"
    assert why_unusable(fence(xmin=6000), now) == "future"
    assert why_unusable(fence(), fence(xmin=1001 + MAX_AGE, xmax=1001 + MAX_AGE)) == "too_old"


def test_a_fence_is_trusted_only_in_its_own_database() -> None:
    now = fence(xmin=5000, xmax=5000)
    assert why_unusable(fence(database=6), now) == "other_database"
    assert why_unusable(fence(database=None), now) == "other_database"
    assert older(fence(), fence(database=6)) is None
    assert older(fence(database=None), fence(database=None)) is None
    with pytest.raises(LegacyReplaced):
        require_same(fence(database=None), now.identity)


def test_a_fence_is_trusted_only_in_its_own_life_of_the_server() -> None:
    now = fence(xmin=5000, xmax=5000, life="2")
    assert why_unusable(fence(life="2"), now) is None
    assert why_unusable(fence(life="1"), now) == "restarted"
    assert why_unusable(fence(), now) == "restarted", "of a release that did not ask"
    assert older(fence(life="1"), now) is None


def test_an_xid_wraps_at_32_bits() -> None:
    assert fence(xmin=2**32 + 5).xid == "5"


# --- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 4])
def test_no_message_grows_with_the_keys(width: int) -> None:
    """The worst there is: every key far from the next one, every number as long as it can be."""
    keys = [(-(2**63) + n * 10**12, *(-(2**63),) * (width - 1)) for n in range(12_000)]
    counts = {"s": [Bucket(key[0] // 500, 1) for key in keys]}
    record = EntityRecord("waiting", None, None, {"s": keys}, None)
    entity = SimpleNamespace(sources={"s": None})
    task = EntityTask(run_id="r" * 80, entity="e" * 63)
    batches = list(_batches(task, entity, counts, record, {"s": keys}, 50_000))  # type: ignore[arg-type]
    assert max(len(json.dumps(batch.model_dump(mode="json"))) for batch in batches) < 200_000
    for purpose in ("requested", "retry"):
        assert [key for batch in batches if batch.purpose == purpose for key in batch.keys or ()] == keys
    changed = [run for batch in batches if batch.purpose == "changed" for run in batch.buckets]
    assert changed == [(bucket.n, bucket.n) for bucket in counts["s"]]
