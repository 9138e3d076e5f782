"""The README's way to AWS as data: the commands of its fenced blocks, in order."""

from __future__ import annotations

import re
from pathlib import Path

SECTION = "## Deploying to AWS"


def commands(readme: Path = Path("README.md")) -> list[str]:
    """Every line that a person types; continued lines are one."""
    section = readme.read_text("utf-8").partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", section, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines if line.strip()]
