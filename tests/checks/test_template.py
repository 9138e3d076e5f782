"""The template keeps its own rules: names instead of stars, bounded memory, settings that the engine reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hybrid_sync.contracts import RunRequest
from hybrid_sync.cost import standing
from hybrid_sync.cost.bill import dollars
from hybrid_sync.cost.prices import Item
from hybrid_sync.entrypoint import _deployment
from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.problems import MEDIA, Problem, problem
from hybrid_sync.measures import BY_NAME, DIMENSION, NAMESPACE
from hybrid_sync.settings import Settings
from hybrid_sync_cli.chosen import PLATFORMS
from hybrid_sync_cli.deployment.deployment import GATEWAYS
from hybrid_sync_cli.emulator.schedules import SCHEDULED_TIME
from tests.checks import templates

TEMPLATE = templates.load()
FUNCTIONS = templates.functions(TEMPLATE)
# Actions that take no resource; the guide of Step Functions lists those for logging and tracing.
WITHOUT_RESOURCE = re.compile(r"^(logs|xray):|^(lambda:GetAccountSettings|cloudwatch:GetMetricStatistics)$")
PHYSICAL_MEMORY = 512
# Memory is a share of a processor, too: a function for whose work somebody waits has all of one.
PROCESSOR = dict.fromkeys(("AuthorizeRequest", "ReceiveWebhook", "ServeApi", "AdmitRuns", "SyncKeys"), 1_769)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_folder_named_like_it_with_one_handler(name: str) -> None:
    folder = Path(FUNCTIONS[name]["CodeUri"])
    words = re.findall("[A-Z][a-z]+", name)
    assert folder == Path("functions", "_".join(words).lower())
    assert [path.name for path in folder.iterdir() if path.suffix] == ["app.py"]


def test_every_function_folder_is_deployed() -> None:
    folders = {path for path in Path("functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {Path(function["CodeUri"]) for function in FUNCTIONS.values()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_uses_at_most_512_mib(name: str) -> None:
    usual = TEMPLATE["Globals"]["Function"]["MemorySize"]
    assert FUNCTIONS[name].get("MemorySize", usual) <= PROCESSOR.get(name, PHYSICAL_MEMORY)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_log_group_with_an_end(name: str) -> None:
    group = TEMPLATE["Resources"][f"{name}Logs"]["Properties"]
    assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{FUNCTIONS[name]['FunctionName']['Fn::Sub']}"}
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    # A function that is called while its group is not there has Lambda make one, and the next stack of the name fails.
    assert TEMPLATE["Resources"][name]["DependsOn"] == f"{name}Logs"


def test_every_log_ends_by_the_one_parameter() -> None:
    groups = templates.resources(TEMPLATE, "AWS::Logs::LogGroup")
    assert len(groups) > len(FUNCTIONS)
    assert [name for name, log in groups.items() if log.get("RetentionInDays") != {"Ref": "LogRetentionDays"}] == []


def test_what_lies_in_the_bucket_ends_as_the_page_on_compliance_says() -> None:
    """Functions may write below these prefixes alone; what lies there ends, earlier versions too, but the erased."""
    rules = TEMPLATE["Resources"]["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    kept = {rule["Prefix"]: rule for rule in rules if "Prefix" in rule}
    policies = [statement for function in FUNCTIONS.values() for statement in templates.statements(function)]
    puts = [s["Resource"] for s in policies if "s3:PutObject" in templates.listed(s["Action"])]
    written = set(re.findall(r"\$\{DataBucket\.Arn\}/([a-z]+/)\*", json.dumps(puts)))
    assert written == {*kept, "erasures/"}
    days = {"manifests/": 30, "idmap/": 180, "audit/": 2193, "reports/": {"Ref": "ReportRetentionDays"}}
    assert {prefix: rule["ExpirationInDays"] for prefix, rule in kept.items()} == days
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert {rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in kept.values()} <= {1, 30}
    page = Path("docs/compliance.md").read_text("utf-8")
    assert "| `manifests/`, `idmap/` | 30 and 180 days |" in page
    assert "30 days more | `ReportRetentionDays` |" in page
    parameters = TEMPLATE["Parameters"]
    assert (parameters["ReportRetentionDays"]["Default"], parameters["LogRetentionDays"]["Default"]) == (2192, 90)
    assert f"| CloudWatch | {parameters['LogRetentionDays']['Default']} days | `LogRetentionDays` |" in page


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_policy_names_actions_and_resources(name: str) -> None:
    for statement in templates.statements(FUNCTIONS[name]):
        assert statement["Effect"] == "Allow"
        assert not [action for action in templates.listed(statement["Action"]) if "*" in action]
        for resource in templates.listed(statement["Resource"]):
            if resource == "*" and all(map(WITHOUT_RESOURCE.match, templates.listed(statement["Action"]))):
                continue
            text = json.dumps(resource)
            # A star may stand only behind the name of a resource of this template, for its parts.
            assert "*" not in text or re.search(r"\$\{\w+[^}]*\}[/:][\w${}:./-]*\*", text), text


def test_roles_use_a_star_only_for_actions_that_take_no_resource() -> None:
    for name, role in templates.resources(TEMPLATE, "AWS::IAM::Role").items():
        for policy in role.get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = templates.listed(statement["Action"])
                assert not [action for action in actions if "*" in action], name
                if "*" in templates.listed(statement["Resource"]):
                    assert all(WITHOUT_RESOURCE.match(action) for action in actions), name


def versions(machine: templates.Resource) -> list[str]:
    """The functions that a state machine names; AssertionError unless it names a numbered version of each."""
    named = [value for name, value in machine["DefinitionSubstitutions"].items() if name.endswith("Function")]
    assert all(set(value) == {"Ref"} and value["Ref"].endswith(".Version") for value in named)
    return [value["Ref"].removesuffix(".Version") for value in named]


def test_the_state_machine_may_invoke_every_version_of_exactly_the_functions_that_it_names() -> None:
    machine = templates.resources(TEMPLATE, "AWS::Serverless::StateMachine")["SyncRun"]
    role = templates.resources(TEMPLATE, "AWS::IAM::Role")["SyncRunRole"]
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    [invoke] = [s for s in statements if s["Action"] == "lambda:InvokeFunction"]
    assert invoke["Resource"] == [{"Fn::Sub": f"${{{name}.Arn}}:*"} for name in versions(machine)]


def test_a_run_keeps_the_versions_that_it_began_with() -> None:
    """Numbered versions, published with every build; no alias of the machine, which would move in mid-run."""
    machine = templates.resources(TEMPLATE, "AWS::Serverless::StateMachine")["SyncRun"]
    published = {name: f["AutoPublishCodeSha256"] for name, f in FUNCTIONS.items() if "AutoPublishAlias" in f}
    assert published == {name: {"Ref": "BuildId"} for name in versions(machine)}
    assert not {"AutoPublishAlias", "DeploymentPreference"} & set(machine)
    assert "StateMachineAlias" not in templates.TEMPLATE.read_text("utf-8")


def test_settings_and_the_template_know_the_same_variables() -> None:
    given = {variable for f in FUNCTIONS.values() for variable in templates.environment(TEMPLATE, f)}
    ours = {variable for variable in given if not variable.startswith("POWERTOOLS_")}
    by_lambda_itself = {"AWS_LAMBDA_FUNCTION_NAME"}
    assert ours == {field.alias for field in Settings.model_fields.values()} - by_lambda_itself


def test_a_number_of_a_mapping_becomes_a_text_before_it_is_a_variable() -> None:
    """CloudFormation makes texts of all variables, and the emulator of none: no worker starts with a number."""
    for function in FUNCTIONS.values():
        assert not ["Fn::FindInMap" for v in templates.environment(TEMPLATE, function).values() if "Fn::FindInMap" in v]


def test_the_defaults_of_settings_are_those_of_the_template() -> None:
    parameters = TEMPLATE["Parameters"]
    settings = Settings.from_environment({})
    assert settings.weekly_batch_size == parameters["WeeklyBatchSize"]["Default"]
    assert settings.weekly_deadline_seconds == parameters["WeeklyDeadlineSeconds"]["Default"]
    assert settings.daily_batch_size == parameters["DailyBatchSize"]["Default"]
    assert settings.daily_deadline_seconds == parameters["DailyDeadlineSeconds"]["Default"]
    assert settings.statement_seconds == parameters["StatementSeconds"]["Default"]
    assert settings.max_runs == parameters["MaxRuns"]["Default"]
    assert settings.max_waiting == parameters["MaxWaiting"]["Default"]
    assert settings.max_waiting_of_one == parameters["MaxWaitingOfOne"]["Default"]
    assert settings.target_connections == int(parameters["TargetConnections"]["Default"])
    assert settings.legacy_connections == int(parameters["LegacyConnections"]["Default"])
    workers = TEMPLATE["Mappings"]["WorkersOf"][parameters["TargetConnections"]["Default"]]
    assert settings.workers == workers[parameters["LegacyConnections"]["Default"]]
    assert settings.retry_delay_seconds == parameters["RetryDelaySeconds"]["Default"]
    assert settings.retry_window_hours == parameters["RetryWindowHours"]["Default"]


def test_a_deadline_lies_well_before_the_backstop_of_the_state_machine() -> None:
    text = Path("statemachine/sync_run.asl.yaml").read_text("utf-8")
    [backstop] = re.findall(r"^TimeoutSeconds: (\d+)$", text, re.MULTILINE)
    for name in ("WeeklyDeadlineSeconds", "DailyDeadlineSeconds"):
        assert TEMPLATE["Parameters"][name]["MaxValue"] + 3600 < int(backstop)


def test_what_runs_side_by_side_follows_from_the_connections_that_may_be_used() -> None:
    entities, batches = TEMPLATE["Mappings"]["EntitiesOf"], TEMPLATE["Mappings"]["BatchesOf"]
    for name in ("TargetConnections", "LegacyConnections"):
        assert TEMPLATE["Parameters"][name]["AllowedValues"] == list(entities) == list(batches)
    [retries] = FUNCTIONS["RetryFailure"]["Events"].values()
    beside = retries["Properties"]["ScalingConfig"]["MaximumConcurrency"] + 1  # and a person's command
    for target in entities:
        for legacy in entities[target]:
            side_by_side = entities[target][legacy] * batches[target][legacy]
            assert side_by_side + beside <= min(int(target), int(legacy))
            assert 1 <= batches[target][legacy] <= 40
            assert TEMPLATE["Mappings"]["WorkersOf"][target][legacy] == side_by_side
    reserved = {
        name: f["ReservedConcurrentExecutions"] for name, f in FUNCTIONS.items() if "ReservedConcurrentExecutions" in f
    }
    shared = {"Fn::FindInMap": ["WorkersOf", {"Ref": "TargetConnections"}, {"Ref": "LegacyConnections"}]}
    named = {"Fn::If": ["ReservesConcurrency", shared, {"Ref": "AWS::NoValue"}]}
    assert reserved == {"SyncBatch": named, "CompareSegment": named}


def test_attempts_are_one_more_than_retries() -> None:
    retries = TEMPLATE["Mappings"]["RetriesOf"]
    assert {int(attempts): found["Count"] + 1 for attempts, found in retries.items()} == {
        int(attempts): int(attempts) for attempts in TEMPLATE["Parameters"]["Attempts"]["AllowedValues"]
    }


def test_the_schedules_are_sunday_one_and_every_day_two_and_only_the_first_is_on() -> None:
    weekly, daily = (FUNCTIONS["AdmitRuns"]["Events"][name]["Properties"] for name in ("Weekly", "Daily"))
    parameters = TEMPLATE["Parameters"]
    assert parameters["WeeklySchedule"]["Default"] == "cron(0 1 ? * SUN *)"
    assert parameters["DailySchedule"]["Default"] == "cron(0 2 * * ? *)"
    assert parameters["DailyEnabled"]["Default"] == "false"
    assert "State" not in weekly
    assert daily["State"] == {"Fn::If": ["HasDaily", "ENABLED", "DISABLED"]}
    for event in (weekly, daily):
        assert event["ScheduleExpressionTimezone"] == {"Ref": "ScheduleTimeZone"}
        assert event["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": "MissedScheduleQueue.Arn"}}
    for policy in parameters["OnFailure"]["AllowedValues"]:
        sent = [json.loads(e["Input"]["Fn::Sub"].replace("${OnFailure}", policy)) for e in (weekly, daily)]
        # A second delivery repeats the time for which the schedule was due.
        assert {one["scheduled_at"] for one in sent} == {SCHEDULED_TIME}
        asked = [RunRequest.model_validate(one["request"]) for one in sent]
        assert [(r.profile, r.on_failure) for r in asked] == [("weekly", policy), ("daily", policy)]


def test_the_hourly_schedule_is_off_and_its_runs_are_named_for_the_hour() -> None:
    hourly, parameters = FUNCTIONS["AdmitRuns"]["Events"]["Hourly"]["Properties"], TEMPLATE["Parameters"]
    assert parameters["HourlySchedule"]["Default"] == "cron(15 * * * ? *)"
    assert parameters["HourlyEnabled"]["Default"] == "false"
    assert hourly["State"] == {"Fn::If": ["HasHourly", "ENABLED", "DISABLED"]}
    sent = json.loads(hourly["Input"]["Fn::Sub"].replace("${OnFailure}", "keep"))
    assert sent["scheduled_at"] == SCHEDULED_TIME
    assert RunRequest.model_validate(sent["request"]).profile == "hourly"


def test_what_could_not_be_delivered_is_brought_to_the_function_that_starts_it_until_it_is_taken() -> None:
    queue = templates.resources(TEMPLATE, "AWS::SQS::Queue")["MissedScheduleQueue"]
    admitting = FUNCTIONS["AdmitRuns"]
    asked = admitting["Events"]["Missed"]["Properties"]
    assert asked["Queue"] == {"Fn::GetAtt": "MissedScheduleQueue.Arn"}
    assert asked["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert "RedrivePolicy" not in queue and queue["MessageRetentionPeriod"] == 14 * 86_400
    assert queue["VisibilityTimeout"] >= admitting["Timeout"], "Lambda refuses less"
    for name in ("AdmitRuns", "ReceiveWebhook"):
        assert FUNCTIONS[name]["DeadLetterQueue"]["TargetArn"] == {"Fn::GetAtt": "MissedScheduleQueue.Arn"}
    # A rule that may not call its function drops the event at once, unless it has a queue that lets it in.
    assert FUNCTIONS["ReceiveWebhook"]["Events"]["Bus"]["Properties"]["DeadLetterConfig"] == {
        "Arn": {"Fn::GetAtt": "MissedScheduleQueue.Arn"}
    }
    policy = templates.resources(TEMPLATE, "AWS::SQS::QueuePolicy")["MissedScheduleQueuePolicy"]["PolicyDocument"]
    [allowed] = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": "ReceiveWebhookBus.Arn"}}}


def test_a_lone_message_that_could_not_be_taken_up_is_told_for_as_long_as_it_is_there() -> None:
    """The age of the oldest one forgets what was received three times, so it has to be seen before; and what waits for
    its next attempt is counted."""
    alarms = templates.resources(TEMPLATE, "AWS::CloudWatch::Alarm")
    wait = templates.resources(TEMPLATE, "AWS::SQS::Queue")["MissedScheduleQueue"]["VisibilityTimeout"]
    age, left = alarms["MissedScheduleAlarm"], alarms["MissedScheduleLeftAlarm"]
    assert age["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert age["Threshold"] + age["Period"] < 2 * wait
    assert (left["MetricName"], left["Threshold"]) == ("ApproximateNumberOfMessagesNotVisible", 0)
    queue = {"Name": "QueueName", "Value": {"Fn::GetAtt": "MissedScheduleQueue.QueueName"}}
    assert [one["Dimensions"] for one in (age, left)] == [[queue]] * 2
    # What is taken up at its second attempt wakes nobody.
    assert left["Period"] * left["DatapointsToAlarm"] > wait


def test_a_clock_that_has_stopped_is_told_by_what_it_does_not_measure_itself() -> None:
    clock = FUNCTIONS["AdmitRuns"]["Events"]["Clock"]["Properties"]["ScheduleExpression"]
    alarm = templates.resources(TEMPLATE, "AWS::CloudWatch::Alarm")["ClockStoppedAlarm"]
    assert (clock, alarm["Namespace"], alarm["MetricName"]) == ("rate(1 minute)", "AWS/Lambda", "Invocations")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "AdmitRuns"}}]
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("LessThanThreshold", "breaching")
    assert alarm["Threshold"] < alarm["Period"] / 60


def test_failed_records_have_three_attempts_and_time_for_each() -> None:
    queues = templates.resources(TEMPLATE, "AWS::SQS::Queue")
    queue = queues["FailedRecordsQueue"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 3
    for name, function in (("FailedRecordsQueue", "RetryFailure"), ("FailedRecordsDeadLetters", "EscalateFailure")):
        timeout = FUNCTIONS[function].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
        # Lambda's guide asks for six times the function's timeout.
        assert queues[name]["VisibilityTimeout"] >= 6 * timeout


@pytest.mark.parametrize("function", ["RetryFailure", "EscalateFailure"])
def test_a_queue_consumer_reports_single_failures(function: str) -> None:
    [event] = FUNCTIONS[function]["Events"].values()
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_no_answer_of_the_authorizer_is_kept_so_that_what_is_revoked_is_closed_at_once() -> None:
    api = templates.resources(TEMPLATE, "AWS::Serverless::Api")["Api"]
    [authorizer] = api["Auth"]["Authorizers"].values()
    # With an identity source API Gateway would ask for all of them, a header and a cookie, and answer 401 without one.
    assert (authorizer["FunctionPayloadType"], authorizer["Identity"]) == ("REQUEST", {"ReauthorizeEvery": 0})


def test_the_api_has_the_endpoints_that_the_engine_declares_and_opens_those_without_a_scope() -> None:
    api = templates.resources(TEMPLATE, "AWS::Serverless::Api")["Api"]
    assert api["Auth"]["DefaultAuthorizer"] in api["Auth"]["Authorizers"]
    routed = {
        name: (event["Properties"]["Method"], event["Properties"]["Path"], event["Properties"].get("Auth"))
        for name, event in FUNCTIONS["ServeApi"]["Events"].items()
        if event["Type"] == "Api"
    }
    assert routed == {e.event: (e.method, e.path, None if e.scope else {"Authorizer": "NONE"}) for e in ENDPOINTS}
    assert {e.path for e in ENDPOINTS if e.scope is None} == {"/v1/health", "/openapi.json", "/docs"}


def test_the_page_about_the_api_has_each_endpoint_with_its_scope() -> None:
    page = Path("docs/api.md").read_text("utf-8")
    rows = re.findall(r"^\| `([A-Z]+) (/\S*)` \| (?:`(\S+)`|none) \|", page, re.MULTILINE)
    assert sorted(rows) == sorted((e.method, e.path, e.scope or "") for e in ENDPOINTS)


def test_webhooks_pass_no_authorizer_and_reach_a_function_that_knows_no_database() -> None:
    function = FUNCTIONS["ReceiveWebhook"]
    event = function["Events"]["Webhook"]["Properties"]
    assert (event["Method"], event["Path"]) == ("POST", "/v1/webhooks/{source}")
    assert event["Auth"] == {"Authorizer": "NONE"}
    secrets = [s["Resource"] for s in templates.statements(function) if "secretsmanager" in str(s["Action"])]
    assert secrets == [{"Ref": "WebhookSecrets"}]
    assert set(templates.resources(TEMPLATE, "AWS::SecretsManager::Secret")["WebhookSecrets"]) == {"Description"}


def test_what_the_gateway_answers_by_itself_is_a_problem_that_the_command_knows() -> None:
    api = templates.resources(TEMPLATE, "AWS::Serverless::Api")["Api"]
    told: dict[str, Problem] = {}
    for kind, answer in api["GatewayResponses"].items():
        text = answer["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"words"')
        told[kind] = Problem.model_validate_json(text.replace("\n", " "))
        assert answer["ResponseParameters"]["Headers"]["Content-Type"] == f"'{MEDIA}'"
        assert told[kind].status == answer["StatusCode"]
        assert told[kind] == problem(
            told[kind].code, answer["StatusCode"], told[kind].detail, told[kind].remedy, "$context.requestId"
        )
    assert {p.code for p in told.values()} - {"body_too_large"} == GATEWAYS


def test_everything_kept_is_encrypted() -> None:
    assert all(queue["SqsManagedSseEnabled"] for queue in templates.resources(TEMPLATE, "AWS::SQS::Queue").values())
    tables = templates.resources(TEMPLATE, "AWS::DynamoDB::Table").values()
    assert all(table["SSESpecification"]["SSEEnabled"] for table in tables)
    [bucket] = templates.resources(TEMPLATE, "AWS::S3::Bucket").values()
    assert bucket["BucketEncryption"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())


def test_a_secret_is_never_resolved_into_a_functions_configuration() -> None:
    assert "{{resolve" not in templates.TEMPLATE.read_text("utf-8")


@pytest.mark.parametrize("layer", ["engine", "auth", "supabase"])
def test_a_layer_is_built_for_what_the_template_says(layer: str) -> None:
    makefile = Path("layers", layer, "Makefile").read_text("utf-8")
    [python] = re.findall(r"^HYBRID_SYNC_LAYER_PYTHON \?= (.*)$", makefile, re.M)
    [platform] = re.findall(r"^HYBRID_SYNC_LAYER_PLATFORM \?= (.*)$", makefile, re.M)
    parameters = TEMPLATE["Parameters"]
    assert parameters["LambdaRuntime"]["Default"] == f"python{python}"
    assert PLATFORMS[parameters["LambdaArchitecture"]["Default"]] == platform.split("-")[0]
    assert set(PLATFORMS) == set(parameters["LambdaArchitecture"]["AllowedValues"])


def test_no_secret_has_a_value_that_a_redeploy_could_restore() -> None:
    secrets = templates.resources(TEMPLATE, "AWS::SecretsManager::Secret")
    assert not [name for name, secret in secrets.items() if "SecretString" in secret]
    # A changed property would make a new value: this is the one that the first deployments have.
    made = secrets["ConnectionSecret"]["GenerateSecretString"]
    assert (made["SecretStringTemplate"], made["GenerateStringKey"]) == ("{}", "id_secret")
    assert (made["PasswordLength"], made["ExcludePunctuation"]) == (64, True)
    assert set(secrets["IdSecret"]) == {"Description"}


def test_what_holds_state_outlives_the_stack() -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"):
        for name in templates.resources(TEMPLATE, kind):
            resource = TEMPLATE["Resources"][name]
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name
            assert f"${{{name}}}" in TEMPLATE["Outputs"]["KeptByDelete"]["Value"]["Fn::Sub"]


def test_queues_topic_and_bucket_refuse_what_is_not_encrypted_on_its_way() -> None:
    refused: set[str] = set()
    for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"):
        for policy in templates.resources(TEMPLATE, kind).values():
            [deny] = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            refused |= {ref["Ref"] for ref in [*policy.get("Queues", ()), *policy.get("Topics", ())]}
            refused |= {policy["Bucket"]["Ref"]} if "Bucket" in policy else set()
    kinds = ("AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket")
    assert refused == {name for kind in kinds for name in templates.resources(TEMPLATE, kind)}


def test_the_boundary_lets_through_what_the_functions_are_allowed_and_network_rights_only_with_a_vpc() -> None:
    boundary = templates.resources(TEMPLATE, "AWS::IAM::ManagedPolicy")["FunctionBoundary"]
    used, keys, network = boundary["PolicyDocument"]["Statement"]
    allowed = {a for f in FUNCTIONS.values() for s in templates.statements(f) for a in templates.listed(s["Action"])}
    # SAM's own: logs, traces, and polling of a queue.
    by_sam = {action for action in used["Action"] if action.split(":")[0] in ("logs", "xray", "sqs")} - allowed
    assert set(used["Action"]) == allowed | by_sam, "name a new action in FunctionBoundary, too"
    # A key's policy that names a role is bounded, too; and a key is used by the services that hold something.
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= set(keys["Action"]) and not any("*" in a for a in keys["Action"])
    via = [service["Fn::Sub"].split(".")[0] for service in keys["Condition"]["StringEquals"]["kms:ViaService"]]
    assert via == ["dynamodb", "s3", "secretsmanager", "sns", "sqs"]
    condition, with_vpc, without = network["Fn::If"]
    assert (condition, without) == ("HasVpc", {"Ref": "AWS::NoValue"})
    assert all(action.startswith("ec2:") for action in with_vpc["Action"])
    assert TEMPLATE["Globals"]["Function"]["PermissionsBoundary"] == {"Ref": "FunctionBoundary"}


def test_each_alarm_names_the_paragraph_of_the_runbook_that_helps_and_tells_somebody() -> None:
    titles = set(re.findall(r"^## (.*)$", Path("docs/runbook.md").read_text("utf-8"), re.M))
    for name, alarm in templates.resources(TEMPLATE, "AWS::CloudWatch::Alarm").items():
        [title] = re.findall(r"\. Runbook, (.*)\.$", alarm["AlarmDescription"])
        assert title in titles, name
        assert alarm["AlarmActions"] == [{"Ref": "AlertTopic"}]


def test_what_stands_is_priced_as_the_template_has_it() -> None:
    kinds = [resource["Type"] for resource in TEMPLATE["Resources"].values()]
    warm = [f for f in templates.functions(TEMPLATE).values() if "KeepWarm" in f.get("Events", {})]
    assert kinds.count("AWS::CloudWatch::Alarm") == standing.ALARMS
    assert kinds.count("AWS::CloudWatch::Dashboard") == standing.DASHBOARDS
    assert kinds.count("AWS::SecretsManager::Secret") == standing.SECRETS
    assert len(warm) == standing.KEPT_WARM


def test_metrics_alarms_and_the_dashboard_are_those_of_the_table_and_cost_less_than_twelve_dollars() -> None:
    own = {"Ref": "AWS::StackName"}
    alarms = [
        a for a in templates.resources(TEMPLATE, "AWS::CloudWatch::Alarm").values() if a["Namespace"] == NAMESPACE
    ]
    assert {alarm["MetricName"] for alarm in alarms} <= set(BY_NAME)
    assert [a for a in alarms if a["Dimensions"] != [{"Name": DIMENSION, "Value": own}]] == []
    body = json.loads(TEMPLATE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    drawn = [line for widget in body["widgets"] for line in widget["properties"]["metrics"] if line[0] == NAMESPACE]
    assert sorted(drawn) == sorted([NAMESPACE, name, DIMENSION, "${AWS::StackName}"] for name in BY_NAME)
    # Each name with its one dimension set is a metric, here paid for in every hour of the month.
    watching = {
        Item.metrics: len(BY_NAME), Item.alarms: standing.ALARMS, Item.dashboards: standing.DASHBOARDS,
    }  # fmt: skip
    assert dollars(watching) < 12


def test_a_consumer_that_sends_to_its_own_queue_is_not_taken_for_a_loop() -> None:
    for name, function in FUNCTIONS.items():
        heard = [e["Properties"]["Queue"] for e in function.get("Events", {}).values() if e["Type"] == "SQS"]
        sends = [
            resource
            for statement in templates.statements(function)
            if "sqs:SendMessage" in templates.listed(statement["Action"])
            for resource in templates.listed(statement["Resource"])
        ]
        # Lambda ends a chain after 16 calls of the same function, unless it is told that the chain is meant.
        assert (function.get("RecursiveLoop") == "Allow") is any(queue in sends for queue in heard), name


def test_a_functions_name_says_whose_it_is() -> None:
    names = [function["FunctionName"]["Fn::Sub"] for function in FUNCTIONS.values()]
    assert {_deployment(name.replace("${AWS::StackName}", "my-own-stack")) for name in names} == {"my-own-stack"}


def test_the_deploying_person_may_make_every_kind_of_resource_and_no_star_stands_for_an_action() -> None:
    policy = json.loads(Path("policies/deployer.json").read_text("utf-8"))
    actions = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert not [action for action in actions if "*" in action]
    # IAM: a managed policy has 6,144 characters at most, without white space.
    assert len(json.dumps(policy, separators=(",", ":"))) <= 6144
    services = {action.split(":")[0] for action in actions} | {"events"}
    called = {"serverless": "lambda", "apigateway": "apigateway"}
    kinds = {resource["Type"].split("::")[1].lower() for resource in TEMPLATE["Resources"].values()}
    assert {called.get(kind, kind) for kind in kinds} <= services


def test_whatever_checkov_skips_has_its_reason_beside_it() -> None:
    lines = Path(".checkov.yaml").read_text("utf-8").partition("skip-check:\n")[2].splitlines()
    explained = False
    for line in lines:
        explained = "#" in line or (explained and line.startswith("  - "))
        assert explained, line
    for name, resource in TEMPLATE["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip["comment"].split()) > 4, name
