"""Every command against a deployment that is known by its name alone, as on AWS; and denied without its path."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hybrid_sync.runs.holds import release
from hybrid_sync.services.commands import COMMANDS, Role
from hybrid_sync_cli.emulator.refusals import DENIED, expect
from hybrid_sync_cli.stack import STACK_NAME, Stack, home
from hybrid_sync_cli.stack.aws import Aws
from hybrid_sync_cli.stack.processes import Processes
from tests.cli.conftest import Said, say
from tests.stack.world import fill

ACCOUNT = "000000000000"
RUN = "on_demand-20261129T010000-4fc1d2"
WITHOUT = "without"


@dataclass
class People:
    """Users of the account with one of the repository's policies each, and one whose policy lacks a path."""

    stack: Stack
    iam: Any
    keys: dict[str, tuple[str, str]]

    def policy(self, role: Role, but: str = "") -> str:
        """As the page on security says: with everything filled in."""
        text = Path("policies", f"{role.name}.json").read_text("utf-8")
        values = {"REGION": self.stack.region, "ACCOUNT": ACCOUNT, "STACK": STACK_NAME}
        for name, value in {**values, "API_ID": self.stack.outputs["ApiId"]}.items():
            text = text.replace(name, value)
        document = json.loads(text)
        paths = document["Statement"][1]["Resource"]
        document["Statement"][1]["Resource"] = [path for path in paths if not path.endswith(f"/ops/{but}")]
        return json.dumps(document)

    def add(self, name: str, policy: str) -> None:
        self.iam.create_user(UserName=name)
        self.grant(name, policy)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self.keys[name] = (key["AccessKeyId"], key["SecretAccessKey"])

    def grant(self, name: str, policy: str) -> None:
        self.iam.put_user_policy(UserName=name, PolicyName="ops", PolicyDocument=policy)


@pytest.fixture(scope="module")
def people(deployed: Stack) -> Iterator[People]:
    """A small world, and whoever may ask for it."""
    fill(deployed)
    for action in ("execute-api:Invoke", "cloudformation:DescribeStacks"):
        expect(Aws(Processes(home.directory())).refusals, DENIED, action=action)
    made = People(deployed, deployed.client("iam"), {"root": ("test", "test")})
    for role in Role:
        made.add(role.name, made.policy(role))
    made.add(WITHOUT, made.policy(Role.admin))
    yield made
    with psycopg.connect(deployed.target_dsn) as target:
        release(target, ["payments", "roles"])
    # Other modules use this stack, too: what was started without being followed ends before.
    machine = deployed.outputs["StateMachineArn"]
    while deployed.client("stepfunctions").list_executions(stateMachineArn=machine, statusFilter="RUNNING")[
        "executions"
    ]:
        time.sleep(0.2)


Ask = Callable[..., Said]


@pytest.fixture
def ask(people: People, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Call with a person and a command line; there is no stack on the machine where the command runs."""
    monkeypatch.setenv("HYBRID_SYNC_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", people.stack.aws_endpoint_url)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HYBRID_SYNC_TARGET_DSN", "HYBRID_SYNC_LEGACY_DSN"):
        monkeypatch.delenv(name, raising=False)

    def as_person(name: str, *words: str, region: str | None = None, stack: str = STACK_NAME) -> Said:
        key, secret = people.keys[name]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        return say(capsys, "--stack", stack, "--region", region or people.stack.region, *words)

    return as_person


def lines(stack: Stack) -> dict[str, tuple[str, str]]:
    """Command of the table -> a command line that asks for it, and a word of what it says when it is let in."""
    return {
        "status": ("status", "run"),
        "progress": ("sync --entity offices", "rows, references and money add up"),
        "overview": ("watch --once", "at work"),
        "report": (f"report {RUN} --format md", f"There is no run {RUN}."),
        "logs": (f"logs {RUN}", f"There is no run {RUN}."),
        "findings": (f"verify --of {RUN}", f"There is no run {RUN}."),
        "levels": ("levels", "not measured"),
        "cost": ("cost", "at its end"),
        "usage": ("usage", "schedule"),
        "performance": (f"performance {RUN}", f"There is no run {RUN}"),
        "advise": ("advise roles", "statements were explained"),
        "failures": ("failures --json", "["),
        "history": ("history offices:99", "Nothing is known of offices:99."),
        "holds": ("holds", "held"),
        "sync": ("sync --entity offices --no-follow", "on_demand-"),
        "verify": ("verify offices", "Nothing differs."),
        "redrive": ("failures redrive --all", "failed records are tried again"),
        "accept": ("failures accept offices 99 --why known", "Nothing was accepted"),
        "hold": ("hold payments --why restore", "payments is held"),
        "release": ("release jaws", "jaws is not held"),
        "rollback": (f"rollback {RUN}", f"There is no run {RUN}"),
        "tokens": ("tokens list --json", "["),
        "create-token": ("tokens create billing", "hs_"),
        "rotate-token": ("tokens rotate 000000000000", "There is no token 000000000000 that opens anything"),
        "revoke-token": ("tokens revoke 000000000000", "There is no token 000000000000"),
        "syncs": ("syncs", "run"),
        "audit": ("audit --json", "["),
        "cancel": (f"cancel {RUN}", f"There is no run {RUN}"),
        "pause": ("pause --why restore", "Starts are paused"),
        "resume": ("resume", "Runs start again"),
        "check": ("check", "passed"),
        "checked": ("check", "passed"),
        "audit-verify": ("audit verify", "lines are as they were written."),
        "idmap-check": ("idmap check offices", "Every cached id is the target's own."),
        "idmap-backups": ("idmap backups", ""),
        "idmap-backup": ("idmap backup", "Backup "),
        "idmap-rebuild": ("idmap rebuild offices", "ids are cached."),
        "idmap-restore": ("idmap restore 20261129T010000-4fc1d2 offices", "There is no complete backup"),
        "erasures": ("erasures", "Nobody was erased."),
        "erase-preview": ("erase offices:1", "does not say what becomes of an erased row of offices"),
        "erase": ("erase offices:1 --yes", "does not say what becomes of an erased row of offices"),
        "events": ("events --json", '"source":"clinic"'),
        "sign-event": ("webhook send nope order.submitted --key orders:1", "There is no source nope"),
        "rotate-webhook-secret": ("webhook secret rotate clinic", "clinic proves itself by this secret now"),
        "install": (f"install --from-inside --target-dsn {stack.target_dsn}", "The target is ready"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_served_to_the_least_role_that_has_it(people: People, ask: Ask, name: str) -> None:
    line, word = lines(people.stack)[name]
    role = Role.operator if name in ("progress", "checked") else COMMANDS[name].role  # what is followed was started

    said = ask(role.name, *line.split())

    assert word in said.out + said.err
    assert "You may not" not in said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_denied_to_a_role_without_its_path(people: People, ask: Ask, name: str) -> None:
    people.grant(WITHOUT, people.policy(Role.admin, but=name))

    said = ask(WITHOUT, *lines(people.stack)[name][0].split())

    assert said.status == 1
    assert f"hybrid-sync: You may not call POST /ops/{name} of the stack {STACK_NAME}" in said.err.splitlines()[-1]


def test_a_viewer_reads_the_log_of_a_run_and_nobody_needs_a_right_in_cloudwatch(people: People, ask: Ask) -> None:
    run_id = json.loads(ask("operator", "sync", "--entity", "offices", "--json").out)["run_id"]

    said = ask("viewer", "logs", run_id)

    lines = [line for line in said.out.splitlines() if ": step done" in line]
    assert said.status == 0 and any(" verify-entity offices: step done" in line for line in lines), said
    assert all(re.match(r"\d\d:\d\d:\d\d [a-z-]+", line) for line in lines)
    assert json.loads(ask("viewer", "logs", run_id, "--json", "--trouble").out)["every"] == 0


def test_nobody_is_let_in_by_a_role_that_only_looks(ask: Ask) -> None:
    assert "You may not call POST /ops/hold " in ask("viewer", "hold", "payments", "--why", "x").err


def test_install_from_outside_finds_the_secret_by_the_stacks_name(people: People, ask: Ask) -> None:
    said = ask("root", "install", "--target-dsn", people.stack.target_dsn)

    # Behind it the check says that it waits, where other runs are at work.
    assert said.status == 0 and re.match(r"target CA: 1 CA certificate valid until \S+\.\n", said.err)
    ready, checked = said.out.splitlines()
    assert ready == "The target is ready, and the deployment's secret holds the functions' DSNs."
    assert re.fullmatch(r"Check \S+ has passed \(0 errors, .*\)\.", checked)
    assert ask("viewer", "holds").status == 0


def test_the_trail_names_the_person(people: People, ask: Ask) -> None:
    ask("operator", "hold", "roles", "--why", "by the trail's test")
    with psycopg.connect(people.stack.target_dsn) as target:
        who = target.execute(
            "select who, outcome from hybrid_sync.audit where what->>'why' = 'by the trail''s test'"
        ).fetchall()
    assert who == [(f"arn:aws:iam::{ACCOUNT}:user/operator", "done")]


def test_outputs_are_asked_for_once_and_kept_private(people: People, ask: Ask, tmp_path: Path) -> None:
    assert f"API_URL={people.stack.api_url}" in ask("viewer", "env").out
    assert "DSN" not in ask("viewer", "env").out
    kept = tmp_path / "deployments.json"
    assert kept.stat().st_mode & 0o077 == 0
    # What is kept may be of a stack that has been made again: a call finds out, and asks.
    kept.write_text(re.sub(r'"ApiId": "\w+"', '"ApiId": "gone"', kept.read_text()))
    assert ask("viewer", "holds").status == 0
    assert "gone" not in kept.read_text()


@pytest.mark.parametrize("where", [{"stack": "nope"}, {"region": "eu-central-1"}])
def test_a_stack_that_is_not_there_is_one_sentence(ask: Ask, where: dict[str, str]) -> None:
    named = f"{where.get('stack', STACK_NAME)} in {where.get('region', 'us-east-1')}"
    # Whoever may look up one stack is not told whether there is another.
    for person, sentence in (
        ("root", f"There is no stack {named}"),
        ("viewer", f"You may not look up a stack {named}"),
    ):
        said = ask(person, "status", **where)
        assert (said.status, said.err.count("\n")) == (1, 1)
        assert said.err.startswith(f"hybrid-sync: {sentence}")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "There are no AWS credentials to reach the stack"),
        ({"AWS_PROFILE": "nope"}, "There is no usable AWS profile nope"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": "x"}, "AWS does not know these credentials"),
    ],
)
def test_whoever_is_not_known_is_told_how_to_log_in(
    ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    environment: dict[str, str], sentence: str,
) -> None:  # fmt: skip
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)

    said = say(capsys, "--stack", STACK_NAME, "--region", "us-east-1", "status")

    assert (said.status, said.err.count("\n")) == (1, 1)
    assert sentence in said.err
