"""Every sample of events/ runs against what `sam build` has made, under AWS's runtime client.

This is what `sam local invoke` does in a container, without one: for the Python and the processor of this machine.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hybrid_sync.catalog.parsed import read_parsed
from hybrid_sync_cli.stack import ACCESS, Stack, home
from tests.checks import templates
from tests.integration.test_events import HANDLED_BY, REFUSED, sample
from tests.stack import runtime
from tests.stack.world import fill


@pytest.fixture(scope="module")
def answers(deployed: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each built function answered to its samples; AssertionError where one raised."""
    fill(deployed)
    [packages] = (home.project_root() / ".venv-stack" / "lib").glob("python3*/site-packages")
    client = runtime.runtime_client(packages, tmp_path_factory.mktemp("client"))
    said: dict[str, Any] = {}
    with ExitStack() as opened:
        environments: dict[str, runtime.Api] = {}
        for name, function in HANDLED_BY.items():
            if function not in environments:
                environments[function] = opened.enter_context(_environment(deployed, function, client))
            event = sample(name)
            if "scheduled_at" in event:  # an hour of its own: drills let the clock strike on the same stack
                event["scheduled_at"] = event["scheduled_at"].replace(":00:00Z", ":41:00Z")
            if name in REFUSED:
                with pytest.raises(AssertionError, match=f"'errorMessage': '{REFUSED[name]}'"):
                    environments[function].ask(event)
            else:
                said[name] = environments[function].ask(event)
    return said


def _environment(deployed: Stack, function: str, client: Path) -> Any:
    build = home.directory() / "sam" / "build"
    template = templates.load()
    resource = templates.functions(template)[function]
    named = str(resource["FunctionName"]["Fn::Sub"])
    name = named.replace("${AWS::StackName}", "hybrid-sync")
    configured = deployed.client("lambda").get_function_configuration(FunctionName=name)
    variables = {
        **ACCESS,
        **configured["Environment"]["Variables"],
        "AWS_REGION": deployed.region,
        "AWS_DEFAULT_REGION": deployed.region,
        "AWS_ENDPOINT_URL": deployed.aws_endpoint_url,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configured["MemorySize"]),
    }
    layers = [build / layer for layer in templates.layers(template, resource)]
    return runtime.environment(build / function, layers, client, variables)


def test_every_function_that_was_built_answers_its_samples(answers: dict[str, Any]) -> None:
    assert set(answers) == set(HANDLED_BY) - set(REFUSED)


def test_the_run_of_the_samples_goes_from_plan_to_report(answers: dict[str, Any]) -> None:
    planned = [task["entity"] for wave in answers["plan_run"]["waves"] for task in wave]
    assert sorted(planned) == sorted(sample("plan_run")["request"]["entities"])
    assert answers["verify_entity"]["complete"]
    # The sample of a failure stands in it.
    assert answers["report_run"]["status"] == "failed"


def test_no_function_parses_yaml_for_the_catalog_that_was_built(deployed: Stack) -> None:
    assert deployed is not None, "it was built"
    folder = home.directory() / "sam" / "build" / "CatalogLayer" / "python" / "hybrid_sync_catalog"
    parsed = read_parsed(folder)
    assert [file.name for file in folder.glob("*.yaml") if not parsed.has(file.name, file.read_bytes())] == []


def test_the_api_answers(answers: dict[str, Any]) -> None:
    assert answers["api_get_health"]["statusCode"] == 200
    assert json.loads(answers["api_get_health"]["body"])


def test_the_dashboard_shows_the_way_in(answers: dict[str, Any]) -> None:
    assert answers["dashboard_sign_in"]["statusCode"] == 200
    assert "<h1" in answers["dashboard_sign_in"]["body"]


def test_the_path_holds_the_layers_and_the_runtime_client_alone(tmp_path: Path) -> None:
    code, client = tmp_path / "code", tmp_path / "client"
    code.mkdir()
    client.mkdir()
    (code / "app.py").write_text("import sys\ndef handler(event, context):\n    return sys.path\n", "utf-8")
    [packages] = (home.project_root() / ".venv-stack" / "lib").glob("python3*/site-packages")
    with runtime.environment(code, [], runtime.runtime_client(packages, client), {"AWS_REGION": "any"}) as api:
        path = api.ask({})
    assert [part for part in path if "packages" in part] == []
    assert {path.name for path in client.iterdir()} >= {"awslambdaric", "simplejson"}
