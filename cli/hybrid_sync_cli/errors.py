"""What a person did, or has to do, in one sentence: no traceback, exit status 1."""

from __future__ import annotations


class CliError(Exception):
    """A command cannot go on; the message is one clear sentence that contains the remedy.

    It is printed as it is, so it may never carry a password or a cell value.
    """
