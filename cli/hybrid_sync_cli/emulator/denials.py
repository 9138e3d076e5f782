"""Who may do what: every denial is noted, and a state machine's role is asked before its tasks call a function.

ministack judges requests by the caller's role (AUTH=true), but lets a state machine call whatever it names.
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from hybrid_sync_cli.emulator.refusals import DENIED, record

_role: contextvars.ContextVar[str] = contextvars.ContextVar("role", default="")
_OUTBOX = "/outbound-emails"
_sender: contextvars.ContextVar[str] = contextvars.ContextVar("sender", default="")


def note_denials(actions: Any) -> None:
    """Note every request that a policy does not allow; one without valid credentials is no such denial."""
    original = actions.access_denied_response

    def denied(service: str, action: str, principal: str, *rest: Any, **facts: Any) -> Any:
        if not facts.get("error_code"):
            record(DENIED, action=action, by=principal)
        return original(service, action, principal, *rest, **facts)

    actions.access_denied_response = denied


class _Origin:
    """Whence a request comes: AWS's clients speak TLS, and what reaches the emulator over 127.0.0.1 counts as that."""

    def __init__(self, connection: contextvars.ContextVar[tuple[str, bool]]) -> None:
        self._connection = connection
        self.set = connection.set

    def get(self) -> tuple[str, bool]:
        address, secure = self._connection.get()
        return address, secure or address == "127.0.0.1"


def take_loopback_for_tls(evaluator: Any) -> None:
    """Let policies that demand an encrypted transport allow what comes from this machine."""
    evaluator._request_origin = _Origin(evaluator._request_origin)


def name_actions_as_aws(actions: Any) -> None:
    """SQS has no permission for batches: SendMessageBatch is allowed by sqs:SendMessage, and so on."""
    original = actions.extract_iam_action

    def extract(*request: Any) -> str | None:
        action: str | None = original(*request)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    actions.extract_iam_action = extract


def name_log_groups_as_aws(actions: Any) -> None:
    """A policy names what is in a log group, its ARN with `:*` (CloudWatch Logs guide, "Resources and operations")."""
    original = actions.extract_resource_arn

    def extract(service: str, *request: Any, **more: Any) -> str:
        arn = str(original(service, *request, **more))
        return f"{arn}:*" if service == "logs" and ":log-group:" in arn and not arn.endswith(":*") else arn

    actions.extract_resource_arn = extract


def pass_senders(actions: Any, evaluator: Any) -> None:
    """A mail is judged by its sender's identity and address (SES guide, "Controlling access"), which ministack leaves
    out."""
    named, enforce = actions.extract_resource_arn, evaluator.enforce

    def resource(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any, **more: Any) -> str:
        if service != "ses" or not path.endswith(_OUTBOX):
            return str(named(service, method, path, headers, body, *rest, **more))
        _sender.set(json.loads(body or b"{}").get("FromEmailAddress", ""))
        region, account = rest[-2:]
        return f"arn:aws:ses:{region}:{account}:identity/{_sender.get()}"

    def judged(access_key: str, action: str, *request: Any, **more: Any) -> Any:
        if action == "ses:SendEmail":
            more["service_context"] = {**(more.get("service_context") or {}), "ses:FromAddress": _sender.get()}
        return enforce(access_key, action, *request, **more)

    actions.extract_resource_arn, evaluator.enforce = resource, judged


def pass_leading_keys(actions: Any) -> None:
    """A policy may say which items of a table are touched (DynamoDB guide, "Conditions"): by their partition keys."""
    original = actions.dynamodb_service_context

    def context(body: bytes) -> dict[str, Any]:
        asked = json.loads(body or b"{}")
        keys = [place["pk"]["S"] for name in ("Key", "Item") if "pk" in (place := asked.get(name) or {})]
        return {**original(body), **({"dynamodb:LeadingKeys": keys} if keys else {})}

    actions.dynamodb_service_context = context


def judge_machines(stepfunctions: Any, evaluator: Any) -> None:
    """A task's function is called only when the machine's role allows it, named as the task names it."""
    task, invoke = stepfunctions._execute_task, stepfunctions._invoke_resource

    def execute(definition: Any, data: Any, execution: Any, context: Any) -> Any:
        # A distributed map's child belongs to the machine "name/label".
        machine = stepfunctions._state_machines.get(execution["stateMachineArn"].partition("/")[0]) or {}
        _role.set(str(machine.get("roleArn", "")))
        return task(definition, data, execution, context)

    def call(resource: str, data: Any) -> Any:
        function = str(data.get("FunctionName", "")) if isinstance(data, dict) else ""
        if "states:::lambda:invoke" in resource and not _allowed(evaluator, _role.get(), function):
            record(DENIED, action="lambda:InvokeFunction", by=_role.get())
            cause = f"User: {_role.get()} is not authorized to perform: lambda:InvokeFunction on resource: {function}"
            raise stepfunctions._ExecutionError(
                "Lambda.AWSLambdaException", json.dumps({"errorMessage": cause, "errorType": "AccessDeniedException"})
            )
        return invoke(resource, data)

    stepfunctions._execute_task = execute
    stepfunctions._invoke_resource = call


def _allowed(evaluator: Any, role: str, function: str) -> bool:
    _, _, _, _, account, name = role.split(":", 5)
    policies = evaluator._gather_role_policies(name.rpartition("/")[2], account)
    region = function.split(":")[3]
    asked = evaluator.EvalContext(role, "AssumedRole", account, "lambda:InvokeFunction", function, region)
    return bool(evaluator.evaluate(asked, policies).decision == "Allow")
