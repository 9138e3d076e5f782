"""Texts that can be told from any other are put into the cells of both databases; after all drills they must stand
nowhere else: not in a bucket, table, queue, log, state, mail, page, answer or file, nor on the terminal.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from hybrid_sync.http.credentials import COOKIE
from hybrid_sync.http.scopes import OPERATE, READ
from hybrid_sync.services.messages.tokens import CreateAsked, CreatedToken
from hybrid_sync_cli.stack import Stack, home
from tests.drills import places
from tests.drills.ground import PAUSE, Ground, NotWell, asked
from tests.engine.test_canaries import CANARY

_TEXTS = {
    "dispatch_office": ("name", "address", "city", "sq_customer_id", "emails"),
    "auth_user": ("username", "first_name", "last_name", "email", "password"),
    "dispatch_product": ("name",),
    "dispatch_course": ("name",),
    "dispatch_instruction": ("notes", "complaint"),
    "dispatch_project": ("name",),
    "dispatch_plan": ("name", "notes"),
    "dispatch_comment": ("text",),
    "dispatch_record": ("text",),
    "dispatch_file": ("name",),
    "dispatch_payment": ("order_id",),
    "dispatch_operation": ("sq_payment_id",),
    "dispatch_role": ("name", "description"),
    "dispatch_notification": ("sender",),
}
_NATIVE = ("offices", "profiles", "patients", "cases", "orders")
"""Tables with a column that no catalog file maps."""


def plant(stack: Stack) -> None:
    """In names, notes, addresses and texts of every row; also in what is refused for not being JSON."""
    for table, columns in _TEXTS.items():
        sets = ", ".join(f"{column} = '{CANARY}-' || id" for column in columns)
        asked(stack.legacy_dsn, f"update {table} set {sets}")
    asked(
        stack.legacy_dsn,
        "update dispatch_notification set template_context = case when template_context like '%\"urgent\": false}'"
        f" then left(template_context, -1) || ', \"who\": \"{CANARY}\"}}' else template_context || '{CANARY}' end",
    )
    asked(stack.legacy_dsn, f"update dispatch_patient set suffix = '{CANARY}'")
    for table in _NATIVE:
        asked(stack.target_dsn, f"update {table} set internal_note = '{CANARY} native'")


@dataclass
class Scanned:
    """How much was looked at of each kind, and where a canary sat."""

    looked: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def look(self, found: Iterator[tuple[str, bytes]]) -> None:
        for where, content in found:
            self.looked[where.partition(" ")[0]] += 1
            if (at := content.lower().find(CANARY.encode())) >= 0:
                shown = content[max(0, at - 80) : at + 30].decode("utf-8", "replace")
                self.found.append(f"LEAK {where}: …{shown}…")

    @property
    def line(self) -> str:
        return " ".join(f"{kind}={n}" for kind, n in sorted(self.looked.items()))


def scan(ground: Ground) -> Scanned:
    """Everything; NotWell where the search is blind, as decoys show, or where the cells themselves hold no canary."""
    stack = ground.stack
    for side, table in (("legacy", "dispatch_office"), ("target", "offices")):
        read = ground.legacy if side == "legacy" else ground.target
        if not read(f"select 1 from {table} where name like '{CANARY}%' limit 1"):
            raise NotWell(f"{table} of the {side} has no canary: the search would prove nothing.")
    _require_sight(stack)
    scanned = Scanned()
    with _messages_wait(ground):
        scanned.look(places.messages(stack))
        if not scanned.looked["sqs"]:
            raise NotWell("No message waits that could be looked at.")
    for found in (places.objects, places.items, places.logs, places.executions):
        scanned.look(found(stack))
    scanned.look((f"mail {n}", mail.whole.encode()) for n, mail in enumerate(ground.mailbox.look()))
    runs = [row[0] for row in ground.target("select run_id from hybrid_sync.run where trigger <> 'retry'")]
    scanned.look(_served(ground, runs))
    scanned.look(places.commands(_words(runs)))
    scanned.look(places.files())
    return scanned


def _require_sight(stack: Stack) -> None:
    """A decoy in each kind of place has to be found."""
    with ExitStack() as put:
        decoys = {
            "s3": (places.objects, _decoy_object), "sqs": (places.messages, _decoy_message),
            "log": (places.logs, _decoy_line), "dynamodb": (places.items, _decoy_item),
            "file": (lambda _: places.files(), _decoy_file),
        }  # fmt: skip
        for kind, (look, decoy) in decoys.items():
            put.callback(decoy(stack))
            seen = Scanned()
            seen.look(look(stack))
            if len(seen.found) < 1:
                raise NotWell(f"The search does not see a canary in {kind}.")


def _decoy_object(stack: Stack) -> Callable[[], object]:
    s3, place = stack.client("s3"), {"Bucket": stack.outputs["DataBucket"], "Key": "decoy"}
    version = s3.put_object(**place, Body=CANARY.encode()).get("VersionId")
    return lambda: s3.delete_object(**place, **({"VersionId": version} if version else {}))


def _decoy_message(stack: Stack) -> Callable[[], object]:
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName="decoy")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=CANARY)
    return lambda: sqs.delete_queue(QueueUrl=url)


def _decoy_line(stack: Stack) -> Callable[[], object]:
    logs, named = stack.client("logs"), {"logGroupName": "decoy", "logStreamName": "decoy"}
    logs.create_log_group(logGroupName="decoy")
    logs.create_log_stream(**named)
    logs.put_log_events(**named, logEvents=[{"timestamp": int(time.time() * 1000), "message": CANARY}])
    return lambda: logs.delete_log_group(logGroupName="decoy")


def _decoy_item(stack: Stack) -> Callable[[], object]:
    dynamodb, table = stack.client("dynamodb"), stack.outputs["IdMapTable"]
    key = {"pk": {"S": "decoy"}}
    dynamodb.put_item(TableName=table, Item={**key, "said": {"B": CANARY.encode()}})
    return lambda: dynamodb.delete_item(TableName=table, Key=key)


def _decoy_file(_: Stack) -> Callable[[], object]:
    path = home.directory() / "decoy"
    path.write_text(CANARY, "utf-8")
    return path.unlink


@contextmanager
def _messages_wait(ground: Ground) -> Iterator[None]:
    """Rows fail whose trigger quotes them, and nobody consumes the messages about them."""
    ground.target(_QUOTES)
    try:
        with ground.nobody_consumes():
            ground.legacy("update dispatch_product set price = price + 1")
            ground.ended(ground.clock_strikes())
            yield
    finally:
        ground.target("drop function quote_product() cascade")


_QUOTES = """
create function quote_product() returns trigger language plpgsql as $$
begin
  raise exception 'no: %', new.name using detail = new.name, hint = new.name, column = new.name;
end $$;
create trigger quote before insert or update on products for each row execute function quote_product();
"""


def _served(ground: Ground, runs: list[str]) -> Iterator[tuple[str, bytes]]:
    """The API and the pages, asked as somebody who may do everything."""
    scopes = CreateAsked(name="canaries", scopes=(READ, OPERATE), days=1)
    token = ground.deployment.ask("create-token", scopes, CreatedToken).token
    url = ground.stack.api_url

    def get(path: str) -> str:
        told = {"Cookie": f"{COOKIE}={token}"} if "/dashboard" in path else {"Authorization": f"Bearer {token}"}
        for _ in range(100):
            try:
                with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", headers=told), timeout=40) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    return str(error.read().decode())
            time.sleep(PAUSE)
        raise NotWell(f"{path} is throttled for ever.")

    entities = [row[0] for row in ground.target("select distinct entity from hybrid_sync.run_entity")]
    failed = ground.target("select entity, source, array_to_string(key, ',') from hybrid_sync.failed_record limit 20")
    paths = ["/v1/syncs", "/v1/holds", "/v1/failures", "/v1/freshness", "/v1/health", "/openapi.json", "/docs"]
    paths += ["/dashboard", "/dashboard/entities", "/dashboard/audit", "/v1/records/offices/1", "/v1/records/offices/x"]
    paths += ["/v1/usage", "/dashboard/usage"] + [f"/v1/syncs/{run}/performance" for run in runs]
    paths += [f"/v1/syncs/{run}" for run in runs] + [f"/v1/entities/{entity}/route" for entity in entities]
    paths += [f"/dashboard/runs/{run}{part}" for run in runs for part in ("", "/report")]
    paths += [f"/dashboard/entities/{entity}" for entity in entities]
    paths += [f"/dashboard/records?ref={entity}/{source}:{key}" for entity, source, key in failed]
    return places.pages(get, paths)


def _words(runs: list[str]) -> list[list[str]]:
    last = runs[-1]
    shown = [["report", last, "--format", kind] for kind in ("table", "html", "md", "json")]
    plain = ["status", "failures", "syncs", "holds", "audit", "idmap check", "watch --once", "check", "catalog check"]
    return (
        [line.split() for line in plain] + shown + [["history", "offices:1"], ["failures", "--json"], ["status", last]]
    )
