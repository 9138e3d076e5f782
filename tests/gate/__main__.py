"""`python -m tests.gate --n 1000 --seed 0`: so many schedules, on the emulator's DynamoDB; a failure names its seed."""

from __future__ import annotations

import argparse
import secrets

import boto3

from hybrid_sync_cli.stack import home
from tests.contract import accounts
from tests.gate.emulator import emulator
from tests.gate.schedule import Outcome, Schedule
from tests.gate.table import control_table


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--n", type=int, default=1_000)
    given.add_argument("--seed", type=int, default=0)
    asked = given.parse_args()
    with emulator(home.project_root()) as endpoint, accounts.account("ministack", lambda: endpoint):
        dynamodb = boto3.client("dynamodb")
        total = Outcome()
        for seed in range(asked.seed, asked.seed + asked.n):
            with control_table(dynamodb, f"control-{secrets.token_hex(4)}") as table:
                total = total.plus(Schedule(seed, dynamodb, table).play())
            if (seed + 1) % 50 == 0:
                print(f"  seed {seed}: {vars(total)}", flush=True)
        totals = " ".join(f"{name}={value}" for name, value in vars(total).items())
        print(f"GATE n={asked.n} seed={asked.seed} {totals}")


if __name__ == "__main__":
    main()
