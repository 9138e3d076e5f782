"""Who may ask what of a deployment; the same three for people on AWS (`/ops`) and for people of Supabase Auth."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """Each may do what those before it may."""

    viewer = 1
    operator = 2
    admin = 3
