"""What is chosen for a deployment is read as sam reads it, and what cannot go well is said before it begins."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

import pytest

from hybrid_sync_cli.chosen import Machine, overrides, spring_gaps
from hybrid_sync_cli.errors import CliError

TODAY = date(2026, 11, 26)
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
SETTINGS = """
[default.deploy.parameters]
parameter_overrides = "AlertEmail=\\"none\\" WeeklySchedule=\\"cron(0 2 ? * SUN *)\\""
[prod.deploy.parameters]
parameter_overrides = ["AlertEmail=ops@example.com", "TargetConnections=2"]
"""


def test_parameters_come_from_the_settings_of_the_environment_unless_the_arguments_give_some() -> None:
    assert overrides(SETTINGS, []) == {"AlertEmail": "none", "WeeklySchedule": "cron(0 2 ? * SUN *)"}
    assert overrides(SETTINGS, ["--config-env", "prod"]) == {"AlertEmail": "ops@example.com", "TargetConnections": "2"}
    given = ["--parameter-overrides", "AlertEmail=none", 'DailySchedule="cron(0 3 * * ? *)"']
    assert overrides(SETTINGS, given) == {"AlertEmail": "none", "DailySchedule": "cron(0 3 * * ? *)"}


@pytest.mark.parametrize(
    ("schedule", "zone", "warned"),
    [
        ("cron(0 1 ? * SUN *)", "UTC", ""),
        ("cron(0 1 ? * SUN *)", "Europe/Berlin", ""),
        ("cron(30 2 ? * SUN *)", "Europe/Berlin", "2027-03-28"),
        ("cron(30 2 ? * MON *)", "Europe/Berlin", ""),
        ("cron(30 2 * * ? *)", "America/New_York", "2027-03-14"),
        ("cron(0,30 1,2 ? * SUN *)", "Europe/London", "2027-03-28"),
        ("cron(30 2 ? * 1 *)", "Europe/Berlin", "2027-03-28"),
        ("cron(0/30 1 ? * 1-2 *)", "Europe/London", "2027-03-28"),
        ("cron(30 2 ? * FRI-SAT *)", "Europe/Berlin", ""),
        ("cron(30 0 * * ? *)", "America/Havana", "2027-03-14"),
        ("cron(15 2 ? * SUN *)", "Australia/Lord_Howe", "2027-10-03"),
        ("rate(1 day)", "Europe/Berlin", ""),
    ],
)
def test_a_time_that_the_clock_leaves_out_is_told(schedule: str, zone: str, warned: str) -> None:
    said = spring_gaps({"WeeklySchedule": schedule, "ScheduleTimeZone": zone}, TODAY)
    assert [warned in sentence for sentence in said] == ([True] if warned else [])


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CliError, match="Berlin, which is no time zone"):
        spring_gaps({"ScheduleTimeZone": "Berlin"}, TODAY)


def test_the_layer_is_built_for_what_the_template_is_told() -> None:
    machine = Machine.chosen({}, "arm64")
    assert machine.python == OWN
    processor = "x86_64" if OWN == "3.11" else "aarch64"
    assert machine.environment()["HYBRID_SYNC_LAYER_PLATFORM"].startswith(f"{processor}-")
    assert Machine.chosen({"LambdaArchitecture": "x86_64"}, "arm64").architecture == "x86_64"
    with pytest.raises(CliError, match=r"There is no Python 3\.99 here"):
        Machine.chosen({"LambdaRuntime": "python3.99"}, "arm64")
    with pytest.raises(CliError, match="write arm64 or x86_64"):
        Machine.chosen({"LambdaArchitecture": "arm"}, "arm64")


def test_a_layer_without_byte_code_or_for_another_processor_stops_the_deployment(tmp_path: Path) -> None:
    machine = Machine(OWN, "arm64", sys.executable)
    with pytest.raises(CliError, match="no byte code for Python"):
        machine.require_layer(tmp_path)
    (tmp_path / f"module.cpython-{OWN.replace('.', '')}.pyc").touch()
    machine.require_layer(tmp_path)
    (tmp_path / "library.so").write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))
    with pytest.raises(CliError, match=r"library.so in the built layer is not for arm64"):
        machine.require_layer(tmp_path)


def test_python_3_11_runs_on_one_processor_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = tmp_path / "python3.11"
    interpreter.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    runtime = {"LambdaRuntime": "python3.11"}
    assert Machine.chosen(runtime, "arm64").architecture == "x86_64"
    with pytest.raises(CliError, match=r"too old for psycopg on arm64: deploy with LambdaArchitecture=x86_64"):
        Machine.chosen({**runtime, "LambdaArchitecture": "arm64"}, "arm64")
