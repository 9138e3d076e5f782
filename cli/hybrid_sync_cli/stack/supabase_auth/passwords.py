"""What whoever tries the stack signs in with; apart from what signs, which takes a tenth of a second to import."""

from __future__ import annotations

from pathlib import Path

from hybrid_sync_cli.stack.home import read_json

FILE = "supabase-auth.json"


def passwords(folder: Path) -> dict[str, str]:
    """`OPERATOR_PASSWORD` and so on, of the stand-in's users in this folder."""
    users = read_json(folder / FILE).get("users", ())
    return {f"{user['email'].partition('@')[0].upper()}_PASSWORD": user["password"] for user in users}
