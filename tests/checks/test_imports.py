"""A function imports what its step runs and nothing else, when it is loaded and not when it is first called.

`sync_keys` loads its report when it has written: it has a whole processor at any time, and the rows are there sooner.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path("layers/engine/hybrid_sync")
FUNCTIONS = sorted(path.parent.name for path in Path("functions").glob("*/app.py"))
REPORTING = {"report_run", "rollback_run"}
ASKED = {"serve_ops", "serve_dashboard"}
OVER_HTTP = {"serve_api", "authorize_request", "receive_webhook", *ASKED}
OF_A_QUEUE = {"retry_failure", "escalate_failure"}
# Who may import what is heavy, or another function's business; everybody else starts without it.
MAY_IMPORT = {
    "boto3": set(),
    "s3transfer": set(),
    "cryptography": set(),  # when the first access token comes
    "jwt": set(),
    "ruamel.yaml": set(),  # a deployed catalog was parsed when it was built
    "supabase": set(),
    "httpx": set(),
    "jinja2": REPORTING | {"serve_dashboard"},
    "aws_lambda_powertools.event_handler": {"serve_api"},
    "aws_lambda_powertools.utilities.batch": OF_A_QUEUE,
    "hybrid_sync.http": OVER_HTTP,
    "hybrid_sync.report": REPORTING | ASKED,
    "hybrid_sync.undo": REPORTING | ASKED,
    "hybrid_sync.deletes": {"propagate_deletes", "settle_uniques", "sync_keys"},
    "hybrid_sync.rows": set(FUNCTIONS) - OVER_HTTP - {"plan_run", "report_run", "record_failure"},
}
MOST_MODULES = 443
"""Of ours and of libraries: their number is what a cold start costs, on any machine under any load."""
MORE_MODULES = {"report_run": 460, "retry_failure": 474, "rollback_run": 474, "serve_dashboard": 470, "sync_keys": 475}
COMMANDS = {path.stem for path in Path("cli/hybrid_sync_cli/commands").glob("[!_]*.py")}
ASKING = sorted(COMMANDS - {"catalog", "demo", "here", "install", "repair", "sample"})
"""All but those that work with a catalog, with databases or as the deployer."""
OF_THE_DEPLOYMENT = {
    "aws_lambda_powertools", "boto3", "botocore.client", "botocore.session", "cryptography", "jinja2", "jwt", "psycopg",
    "ruamel.yaml", "sqlglot", "yaml", "hybrid_sync.aws", "hybrid_sync.catalog", "hybrid_sync.postgres",
    "hybrid_sync.services.desk",
}  # fmt: skip
FEW_MODULES = {
    "admit_runs",
    "authorize_request",
    "check_deployment",
    "escalate_failure",
    "watch_freshness",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_imports_only_what_it_runs(name: str) -> None:
    program = "import sys; before = set(sys.modules); import app; print(*(sys.modules.keys() - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path("functions", name), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {module for module, users in MAY_IMPORT.items() if module in loaded and name not in users} == set()
    step = f"hybrid_sync.steps.{name}"
    assert step in loaded or name in OVER_HTTP, "the first call would import it, with a fraction of a processor"
    most = 376 if name in FEW_MODULES else MORE_MODULES.get(name, MOST_MODULES)
    assert len([m for m in loaded if m.partition(".")[0] not in sys.stdlib_module_names]) <= most


@pytest.mark.parametrize("command", ASKING)
def test_a_command_that_asks_a_deployment_starts_without_what_only_the_deployment_needs(command: str) -> None:
    program = f"import sys, hybrid_sync_cli.commands.{command}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert OF_THE_DEPLOYMENT & set(done.stdout.split()) == set()


def test_the_layer_describes_the_services_that_the_engine_asks_for_and_no_others() -> None:
    asked = {
        node.args[0].value
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("client", "_client")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    [kept] = re.findall(r"^SERVICES = (.*)$", Path("layers/engine/Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(kept.split()) == asked
