"""Starts ministack with its Python functions run by AWS's own runtime client, so that they act as deployed.

Runs in the environment of ministack (.venv-stack), by path; of this project it imports `emulator` alone, which makes
ministack as strict as AWS.
Stock ministack reports every exception as Runtime.HandlerError, so that no Retry on an error's name ever
matches, and restarts the environment after each. Here a function's process is `python -m awslambdaric` behind
the Runtime API that ministack already serves to `provided.*` functions: real error names, the real context
object, and an environment that stays warm after an error. The names that are replaced are private: ministack's
version is pinned, and `check` tells when one of them is gone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import os
import shutil
import socketserver
import sys
import tempfile
import threading
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from ministack.core import iam_actions, iam_evaluator, lambda_runtime, responses
from ministack.services import apigateway_v1, cloudwatch, eventbridge, lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners

# Behind everything else: what ministack imports must not be shadowed by a module of ours.
sys.path.append(str(Path(__file__).parents[2]))
from hybrid_sync_cli.emulator import (
    authorizers,
    cloudformation,
    denials,
    gateway,
    injected,
    quotas,
    requests,
    schedules,
)

RUNTIME_API = Path(__file__).with_name("runtime_api")
FORCE_PURE = "HYBRID_SYNC_PURE_RUNTIME_CLIENT"
CONCURRENCY = "HYBRID_SYNC_LAMBDA_CONCURRENCY"
NICENESS = "HYBRID_SYNC_NICENESS"
BOOTSTRAP = f'#!/bin/sh\nexec nice -n "${NICENESS}" "{{python}}" -m awslambdaric "$_HANDLER"\n'
WHOLE_PROCESSOR = 1_769  # MB; AWS gives less memory as much less of one
REPLACED = {
    lambda_svc: (
        "_provided_runtime_code_dir",
        "_provided_worker_env",
        "_execute_function_warm",
        "_execute_function_provided_warm",
        "_extract_zip_preserving_mode",
        "_resolve_layer_zip",
        "_acquire_execution_slot",
        "_execute_function",
        "_run_sqs_batch",
        "_throttle_response",
        "acquire_worker",
        "invoke_async_with_retry",
    ),
    lambda_runtime: ("_worker_class_for", "ProvidedWorker", "_lock", "_workers", "_worker_key", "kill_workers"),
    lambda_runtime.ProvidedWorker: ("_spawn", "_drain_stderr_bounded", "invoke"),
    provisioners: ("_sfn_definition", "_RESOURCE_HANDLERS"),
    stepfunctions: (
        *quotas.STATES,
        "_add_event",
        "_invoke_resource",
        "_error_matches",
        "_ExecutionError",
        "_state_machines",
    ),
    eventbridge: ("_dispatch_to_lambda", "_invoke_target"),
    apigateway_v1: (
        "_call_lambda_raw",
        "_invoke_authorizer_lambda",
        "_import_identity_source",
        "_authorizer_ttl",
        "_import_rest_api",
        "_put_gateway_response",
        "_build_lambda_event_v1",
        "_rest_apis",
        "find_api_scope",
    ),
    cloudwatch: ("_store_datum",),
    responses: ("request_scope",),
    iam_actions: (
        "access_denied_response",
        "dynamodb_service_context",
        "extract_iam_action",
        "extract_resource_arn",
    ),
    iam_evaluator: ("_gather_role_policies", "enforce", "evaluate", "EvalContext", "_request_origin"),
}


def check() -> list[str]:
    """The names that this launcher needs and this ministack does not have."""
    return [
        f"{owner.__name__}.{name}" for owner, names in REPLACED.items() for name in names if not hasattr(owner, name)
    ]


class Unpacked:
    """Zips of code and layers, each unpacked once, for as long as this process lives."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hybrid-sync-lambda-"))
        self._lock = threading.Lock()

    def path(self, blob: bytes, *, bootstrap: bool) -> Path:
        target = self.folder / (hashlib.sha256(blob).hexdigest() + ("-run" if bootstrap else ""))
        with self._lock:
            if not target.exists():
                target.mkdir()
                with zipfile.ZipFile(io.BytesIO(blob)) as archive:
                    lambda_svc._extract_zip_preserving_mode(archive, str(target))
                if bootstrap:
                    script = target / "bootstrap"
                    script.write_text(BOOTSTRAP.format(python=sys.executable), "utf-8")
                    script.chmod(0o755)
        return target

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def is_python(config: dict[str, Any]) -> bool:
    return str(config.get("Runtime", "")).startswith("python")


def niceness(memory: int) -> int:
    """So that functions which compute at the same time share this machine's processors by their memory, as on AWS.

    A step of niceness is a quarter of a share ("nice levels", sched(7)).
    """
    return max(0, min(19, round(math.log(WHOLE_PROCESSOR / memory, 1.25))))


def worker_environment(environment: dict[str, str], config: dict[str, Any], layers: list[Path]) -> dict[str, str]:
    """What AWS sets besides what ministack does: layers behind the code, the log group, the way to AWS."""
    code = environment["LAMBDA_TASK_ROOT"]
    paths = [code, *(str(layer / "python") for layer in layers)]
    if os.environ.get(FORCE_PURE) or importlib.util.find_spec("runtime_client") is None:
        paths.append(str(RUNTIME_API))
    endpoint = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"
    return {
        # A number of the template's mappings is a string by the time that a function has it.
        **{name: str(value) for name, value in environment.items()},
        "AWS_ENDPOINT_URL": environment.get("AWS_ENDPOINT_URL") or endpoint,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{config.get('FunctionName', '')}",
        "PYTHONPATH": os.pathsep.join(paths),
        NICENESS: str(niceness(int(config.get("MemorySize") or 128))),
    }


def install(unpacked: Unpacked) -> None:
    """Replace what ministack does for python* functions; everything else stays as it is."""
    spawning = threading.local()
    original_folder = lambda_svc._provided_runtime_code_dir
    original_environment = lambda_svc._provided_worker_env
    original_execute = lambda_svc._execute_function_warm
    original_class = lambda_runtime._worker_class_for

    class PythonWorker(lambda_runtime.ProvidedWorker):  # type: ignore[misc] # ministack has no types
        def _spawn(self, init_timeout: float | None = None) -> None:
            spawning.python = True
            try:
                super()._spawn(init_timeout)
            finally:
                spawning.python = False

        invoke = requests.note_call(lambda_runtime.ProvidedWorker.invoke)

        def _drain_stderr_bounded(
            self, first_line_wait: float = 0.004, idle_confirm: float = 0.002, hard_cap: float = 0.25
        ) -> str:
            # The defaults wait up to 50 ms for log lines after each invocation; ours are flushed by then.
            lines: str = super()._drain_stderr_bounded(first_line_wait, idle_confirm, hard_cap)
            return lines

    def folder(blob: bytes) -> str:
        if getattr(spawning, "python", False):
            return str(unpacked.path(blob, bootstrap=True))
        return str(original_folder(blob))

    def environment(config: dict[str, Any], code: str, port: int) -> dict[str, str]:
        inherited: dict[str, str] = original_environment(config, code, port)
        if not is_python(config):
            return inherited
        blobs = [lambda_svc._resolve_layer_zip(layer) for layer in config.get("Layers") or []]
        layers = [unpacked.path(blob, bootstrap=False) for blob in blobs if blob]
        return worker_environment(inherited, config, layers)

    # A machine with two cores is slower with twenty processes than with three: invocations of one function
    # wait for each other here, as they would in a queue, and each process serves many.
    at_once = int(os.environ.get(CONCURRENCY) or max(2, os.cpu_count() or 1))
    turns: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(at_once))

    def execute(function: dict[str, Any], event: Any, request_id: str) -> Any:
        config = function.get("config") or function
        if not is_python(config):
            return original_execute(function, event, request_id)
        with turns[str(config.get("FunctionName"))]:
            result = lambda_svc._execute_function_provided_warm(function, event, request_id)
        return quotas.answered(str(config.get("FunctionName")), result)

    lambda_svc._provided_runtime_code_dir = folder
    lambda_svc._provided_worker_env = environment
    lambda_svc._execute_function_warm = execute
    lambda_runtime._worker_class_for = lambda config: PythonWorker if is_python(config) else original_class(config)
    # Headers and body of an event leave in two writes; Nagle's algorithm would hold the second for 40 ms.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


def be_strict() -> None:
    """AWS's quotas always; its judgement of roles where AUTH is on, and bad luck where it is asked for."""
    quotas.limit_states(stepfunctions)
    quotas.limit_api(apigateway_v1)
    authorizers.judge_authorizers(apigateway_v1)
    gateway.import_gateway_responses(apigateway_v1)
    gateway.pass_addresses(apigateway_v1)
    schedules.fill_in_times(eventbridge)
    injected.inject(lambda_svc, lambda_runtime, eventbridge)
    denials.note_denials(iam_actions)
    requests.note_states(stepfunctions)
    if os.environ.get("AUTH") == "true":
        denials.name_actions_as_aws(iam_actions)
        denials.name_log_groups_as_aws(iam_actions)
        denials.pass_senders(iam_actions, iam_evaluator)
        denials.pass_leading_keys(iam_actions)
        denials.take_loopback_for_tls(iam_evaluator)
        denials.judge_machines(stepfunctions, iam_evaluator)


def main() -> None:
    missing = check()
    if missing:
        sys.exit(f"this ministack lacks {', '.join(missing)}: install the version that pyproject.toml pins")
    from ministack import app

    unpacked = Unpacked()
    install(unpacked)
    be_strict()
    requests.note_requests(app)
    gateway.count_answers(app, apigateway_v1, cloudwatch, responses)
    cloudformation.read_yaml_definitions(provisioners)
    cloudformation.refer_to_secrets_by_arn(provisioners)
    cloudformation.take_budgets(provisioners)
    sys.argv = sys.argv[:1]
    try:
        app.main()
    finally:
        unpacked.clear()


if __name__ == "__main__":
    main()
