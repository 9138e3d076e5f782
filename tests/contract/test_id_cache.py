"""What every id cache promises, and what the one in DynamoDB promises besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from hybrid_sync.contracts import Key
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.ids.cache import PAGE, QUIET_SECONDS, DynamoIdCache, gone
from hybrid_sync.ids.idmap import IdCache
from tests.contract import accounts
from tests.engine.worlds import MemoryIdCache

SECRET = b"a secret for tests"
MakeCache = Callable[[], IdCache]


def uuid(number: int) -> bytes:
    return (number % 2**120 + 1).to_bytes(16, "big")


def ids(*keys: int) -> dict[Key, bytes]:
    return {(key,): uuid(key) for key in keys}


def dynamo(client: Any, **options: Any) -> DynamoIdCache:
    return DynamoIdCache("ids", client, SECRET, sleep=lambda seconds: None, **options)


@pytest.fixture(params=["memory", *accounts.KINDS, "moto by workers without memory"])
def make(request: pytest.FixtureRequest) -> Iterator[MakeCache]:
    """Caches over one storage: two calls are two workers."""
    kind, _, forgetful = request.param.partition(" ")
    if kind == "memory":
        shared = MemoryIdCache()
        yield lambda: shared
        return
    memory = 0 if forgetful else 1_000_000
    with accounts.account(kind, lambda: str(request.getfixturevalue("ministack"))), accounts.id_table() as client:
        yield lambda: dynamo(client, memory_bytes=memory)


def test_what_was_put_is_found_and_the_rest_is_absent(make: MakeCache) -> None:
    make().put("orders", "main", 0, ids(1, 2, 499, 500, 1_000_001))
    found = make().get("orders", "main", 0, [(1,), (3,), (499,), (500,), (501,), (1_000_001,)])
    assert found == ids(1, 499, 500, 1_000_001)


def field(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


@pytest.mark.parametrize("numbers", [range(-700, 700, 2), [7, 10**9], [2**63 - 1, -(2**63)]])
def test_many_are_found_at_once_and_none_besides(make: MakeCache, numbers: Sequence[int]) -> None:
    make().put("orders", "main", 0, ids(*range(-300, 300), 7, 10**9, 2**63 - 1, -(2**63)))
    known = make().get("orders", "main", 0, [(number,) for number in numbers])
    found = make().get_filled("orders", "main", 0, {field(number) for number in numbers})
    assert found.items() <= {field(number): uuid for (number,), uuid in known.items()}.items()
    assert len(found) == len(known) or len(numbers) == 2
    assert make().get_filled("orders", "main", 1, {field(number) for number in numbers}) == {}


def test_whole_pages_hold_what_was_put_and_zeros_beside_it(make: MakeCache) -> None:
    make().put("orders", "main", 0, ids(-1, 0, 499, 1000))
    found = make().pages("orders", "main", 0, [-1, 0, 1, 2])
    none = bytes(16)
    assert found == {
        -1: none * 499 + uuid(-1), 0: uuid(0) + none * 498 + uuid(499), 2: uuid(1000) + none * 499,
    }  # fmt: skip
    assert make().pages("orders", "main", 1, [-1, 0, 1, 2]) == {}


def test_negative_keys_have_ids_too(make: MakeCache) -> None:
    make().put("orders", "main", 0, ids(-1, -500, -501, 0))
    assert make().get("orders", "main", 0, [(-1,), (-2,), (-500,), (-501,), (0,)]) == ids(-1, -500, -501, 0)


def test_composite_keys_have_ids_too(make: MakeCache) -> None:
    known: dict[Key, bytes] = {(3, 41): uuid(1), (34, 1): uuid(2), (3, -4): uuid(3)}
    make().put("role_permissions", "main", 0, known)
    assert make().get("role_permissions", "main", 0, [*known, (41, 3), (341,)]) == known


def test_entity_source_and_epoch_keep_ids_apart(make: MakeCache) -> None:
    cache = make()
    cache.put("messages", "comment", 0, ids(7))
    for entity, source, epoch in (("messages", "record", 0), ("files", "comment", 0), ("messages", "comment", 1)):
        assert cache.get(entity, source, epoch, [(7,)]) == {}


def test_a_later_put_adds_to_a_page_and_keeps_what_is_there(make: MakeCache) -> None:
    make().put("orders", "main", 0, ids(1, 2))
    make().put("orders", "main", 0, ids(3))
    assert make().get("orders", "main", 0, [(1,), (2,), (3,)]) == ids(1, 2, 3)


def test_a_worker_sees_what_another_has_added_to_a_page_that_it_remembers(make: MakeCache) -> None:
    mine, other = make(), make()
    mine.put("orders", "main", 0, ids(1))
    other.put("orders", "main", 0, ids(2))
    assert mine.get("orders", "main", 0, [(1,), (2,)]) == ids(1, 2)


def test_more_pages_than_one_request_carries(make: MakeCache) -> None:
    keys = [n * PAGE for n in range(230)]
    make().put("orders", "main", 0, ids(*keys))
    assert make().get("orders", "main", 0, [(key,) for key in keys]) == ids(*keys)


def test_a_batch_of_references_costs_a_handful_of_requests(dynamodb: Any) -> None:
    dynamo(dynamodb).put("orders", "main", 0, ids(*range(10_000)))
    client = Counting(dynamodb)
    found = dynamo(client).get("orders", "main", 0, [(key,) for key in range(10_000)])
    assert len(found) == 10_000
    assert client.calls == {"batch_get_item": 1}


def test_a_full_page_is_written_without_reading_it(dynamodb: Any) -> None:
    client = Counting(dynamodb)
    dynamo(client).put("orders", "main", 0, ids(*range(5 * PAGE)))
    assert client.calls == {"batch_write_item": 1}


def test_a_page_that_holds_the_ids_already_is_not_written_again(dynamodb: Any) -> None:
    dynamo(dynamodb).put("orders", "main", 0, ids(*range(3 * PAGE)))
    client = Counting(dynamodb)
    dynamo(client).put("orders", "main", 0, ids(7, PAGE + 7))
    assert client.calls == {"batch_get_item": 1}


def test_what_memory_holds_is_not_asked_again(dynamodb: Any) -> None:
    client = Counting(dynamodb)
    cache = dynamo(client)
    cache.put("orders", "main", 0, ids(*range(PAGE)))
    client.calls.clear()
    cache.get("orders", "main", 0, [(key,) for key in range(PAGE)])
    cache.put("orders", "main", 0, ids(*range(PAGE)))
    assert client.calls == {}
    assert (cache.counts.hits, cache.counts.misses) == (PAGE, 0)


def test_memory_stays_within_its_bounds(dynamodb: Any) -> None:
    cache = dynamo(dynamodb, memory_bytes=10 * PAGE * 16)
    for page in range(50):
        cache.put("orders", "main", 0, ids(page * PAGE))
    assert cache._memory._bytes <= 10 * PAGE * 16
    assert cache.get("orders", "main", 0, [(0,)]) == ids(0)


def test_a_worker_remembers_no_items_of_one_id(dynamodb: Any) -> None:
    cache = dynamo(dynamodb)
    composite = {(key, 1): uuid(key) for key in range(100)}
    cache.put("grants", "main", 0, composite)
    assert cache.get("grants", "main", 0, list(composite)) == composite
    assert cache._memory._pages == {}


def test_items_expire_so_that_old_epochs_do_not_stay_for_ever(dynamodb: Any) -> None:
    dynamo(dynamodb).put("orders", "main", 0, {(1,): uuid(1), (1, 2): uuid(2)})
    items = dynamodb.scan(TableName="ids")["Items"]
    assert len(items) == 2
    assert all("N" in item["expires_at"] for item in items)


@pytest.mark.parametrize("verb", ["batch_get_item", "batch_write_item"])
def test_what_dynamodb_leaves_unprocessed_is_asked_again(dynamodb: Any, verb: str) -> None:
    keys = [n * PAGE for n in range(7)]
    cache = dynamo(Halving(dynamodb, verb))
    cache.put("orders", "main", 0, ids(*keys))
    other = dynamo(Halving(dynamodb, verb))
    assert other.get("orders", "main", 0, [(key,) for key in keys]) == ids(*keys)
    assert cache.counts.unwritten == other.counts.unread == 0


def test_pauses_between_rounds_grow_with_jitter(dynamodb: Any) -> None:
    pauses: list[float] = []
    client = Halving(dynamodb, "batch_get_item")
    cache = DynamoIdCache("ids", client, SECRET, sleep=pauses.append)
    cache.get("orders", "main", 0, [(n * PAGE,) for n in range(30)])
    assert pauses[0] == 0.0
    limits = [0.05 * 2**n for n in range(len(pauses) - 1)]
    assert all(0 <= pause <= limit for pause, limit in zip(pauses[1:], limits, strict=True))


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "BatchGetItem"),
        ClientError({"Error": {"Code": "InternalServerError"}}, "BatchGetItem"),
        EndpointConnectionError(endpoint_url="http://nowhere"),
    ],
)
def test_an_outage_answers_absent_and_forgets_and_is_counted(dynamodb: Any, failure: Exception) -> None:
    clock = [0.0]
    client = Failing(dynamodb, failure)
    cache = dynamo(client, monotonic=lambda: clock[0], memory_bytes=0)
    cache.put("orders", "main", 0, ids(1))
    assert cache.get("orders", "main", 0, [(2,)]) == {}
    assert cache.counts.unwritten == 1
    assert cache.counts.unread > 0


def test_after_an_outage_the_cache_is_left_alone_for_a_while(dynamodb: Any) -> None:
    clock = [100.0]
    client = Failing(dynamodb, EndpointConnectionError(endpoint_url="http://nowhere"))
    cache = dynamo(client, monotonic=lambda: clock[0])
    for _ in range(5):
        cache.get("orders", "main", 0, [(1,)])
    assert client.calls == 1
    clock[0] += QUIET_SECONDS
    cache.get("orders", "main", 0, [(1,)])
    assert client.calls == 2


def test_a_missing_right_is_no_outage(dynamodb: Any) -> None:
    cache = dynamo(Failing(dynamodb, ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchGetItem")))
    with pytest.raises(ConfigurationMissing, match="id map"):
        cache.get("orders", "main", 0, [(1,)])
    with pytest.raises(ConfigurationMissing, match="id map"):
        cache.put("orders", "main", 0, ids(1))


def test_a_table_that_is_gone_is_done_without_and_told_until_it_is_back(dynamodb: Any) -> None:
    clock = [100.0]
    client = Failing(dynamodb, ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "BatchGetItem"))
    cache = dynamo(client, monotonic=lambda: clock[0], memory_bytes=0)
    cache.put("orders", "main", 0, ids(1))
    assert cache.get("orders", "main", 0, [(2,)]) == {}
    assert gone(cache).startswith("The id map's table is missing (ResourceNotFoundException). hybrid-sync repair")
    back = dynamo(dynamodb, monotonic=lambda: clock[0])
    assert back.get("orders", "main", 0, [(2,)]) == {}
    assert gone(back) == gone({}) == ""


class Counting:
    """The real client, and how often each verb was called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: dict[str, int] = {}

    def __getattr__(self, verb: str) -> Any:
        self.calls[verb] = self.calls.get(verb, 0) + 1
        return getattr(self._client, verb)


class Halving:
    """The real client, which does only half of what one verb asks for, as a busy table may."""

    def __init__(self, client: Any, verb: str) -> None:
        self._client = client
        self._verb = verb

    def __getattr__(self, verb: str) -> Any:
        real = getattr(self._client, verb)
        if verb != self._verb:
            return real

        def half(RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - boto3's name
            [(table, wanted)] = RequestItems.items()
            requests = wanted["Keys"] if verb == "batch_get_item" else wanted
            done, left = requests[: len(requests) // 2 or 1], requests[len(requests) // 2 or 1 :]
            answer = real(RequestItems={table: {"Keys": done} if verb == "batch_get_item" else done})
            if left and verb == "batch_get_item":
                answer["UnprocessedKeys"] = {table: {"Keys": left}}
            elif left:
                answer["UnprocessedItems"] = {table: left}
            return answer

        return half


class Failing:
    """A client whose every request fails."""

    def __init__(self, client: Any, failure: Exception) -> None:
        self._failure = failure
        self.calls = 0

    def __getattr__(self, verb: str) -> Any:
        def fail(**_: Any) -> Any:
            self.calls += 1
            raise self._failure

        return fail


# --- seals -----------------------------------------------------------------------------------------------------------


def _item(client: Any, key: str) -> dict[str, Any]:
    return dict(client.get_item(TableName="ids", Key={"pk": {"S": key}})["Item"])


def test_ids_that_were_swapped_in_a_page_are_absent_and_not_kept_by_the_next_writer(dynamodb: Any) -> None:
    dynamo(dynamodb).put("orders", "main", 0, ids(1, 2, 3))
    item = _item(dynamodb, "orders/main/0/0")
    page = bytes(item["ids"]["B"])
    dynamodb.put_item(
        TableName="ids", Item={**item, "ids": {"B": page[:16] + page[32:48] + page[16:32] + page[48:]}}
    )  # fmt: skip
    worker = dynamo(dynamodb)
    assert worker.get("orders", "main", 0, [(1,), (2,), (3,)]) == {}
    assert worker.counts.unsealed > 0
    dynamo(dynamodb).put("orders", "main", 0, ids(4))
    assert dynamo(dynamodb).get("orders", "main", 0, [(1,), (2,), (3,), (4,)]) == ids(4)


@pytest.mark.parametrize("elsewhere", ["orders/main/0/1", "orders/main/1/0", "orders/other/0/0", "people/main/0/0"])
def test_a_page_that_was_moved_is_absent(dynamodb: Any, elsewhere: str) -> None:
    dynamo(dynamodb).put("orders", "main", 0, ids(1))
    dynamodb.put_item(TableName="ids", Item={**_item(dynamodb, "orders/main/0/0"), "pk": {"S": elsewhere}})
    entity, source, epoch, page = elsewhere.split("/")
    assert dynamo(dynamodb).get(entity, source, int(epoch), [(int(page) * PAGE + 1,)]) == {}


def test_a_page_of_another_deployment_or_without_a_seal_is_absent(dynamodb: Any) -> None:
    DynamoIdCache("ids", dynamodb, b"another secret").put("orders", "main", 0, ids(1))
    assert dynamo(dynamodb).get("orders", "main", 0, [(1,)]) == {}
    item = _item(dynamodb, "orders/main/0/0")
    del item["seal"]
    dynamodb.put_item(TableName="ids", Item=item)
    assert dynamo(dynamodb).get("orders", "main", 0, [(1,)]) == {}


def test_an_entry_of_a_composite_key_is_sealed_too(dynamodb: Any) -> None:
    dynamo(dynamodb).put("grants", "main", 0, {(1, 2): uuid(1)})
    item = _item(dynamodb, "grants/main/0:1,2")
    dynamodb.put_item(TableName="ids", Item={**item, "ids": {"B": uuid(9)}})
    assert dynamo(dynamodb).get("grants", "main", 0, [(1, 2)]) == {}
