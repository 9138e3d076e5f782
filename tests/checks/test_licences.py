"""What ships, the layer and the operator's command, is permissively licensed, as the installed packages say."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "HPND", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
}  # fmt: skip
# The names of Python's classifiers, for packages that do not say an SPDX expression yet.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# package -> (what it says, why it may ship all the same)
EXCEPTIONS = {
    "psycopg": ("LGPL-3.0-only", "imported unchanged as a package of its own, which anybody can exchange"),
    "psycopg-binary": ("LGPL-3.0-only", "psycopg's compiled half, on the same terms"),
}


def shipped() -> Iterator[metadata.Distribution]:
    """The dependencies of the layers and of the command, theirs, and so on."""
    seen: set[str] = set()
    waiting: list[tuple[str, set[str]]] = [("hybrid-sync", {"cli"}), ("supabase", set())]
    while waiting:
        name, extras = waiting.pop()
        if canonicalize_name(name) in seen:
            continue
        seen.add(canonicalize_name(name))
        found = metadata.distribution(name)
        yield found
        for requirement in map(Requirement, found.requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                waiting.append((requirement.name, requirement.extras))


def licence(package: metadata.PackageMetadata) -> str:
    """An SPDX expression; of classifiers each is a choice."""
    if package.get("License-Expression"):
        return str(package["License-Expression"])
    named = [text.rsplit(" :: ", 1)[1] for text in package.get_all("Classifier") or () if text.startswith("License ::")]
    chosen = [CLASSIFIERS.get(name, name) for name in named if name != "OSI Approved"]
    return " OR ".join(chosen) or str(package.get("License") or "none")


def permitted(expression: str) -> bool:
    """Whether we may choose a licence of the expression that is permissive: one of OR, all of AND."""
    # AND binds closer than OR; with parentheses it would not, so such an expression needs an exception.
    choices = expression.split(" OR ")
    return any(all(part in PERMISSIVE for part in choice.split(" AND ")) for choice in choices)


def test_every_dependency_that_ships_is_permissive_or_an_exception_with_a_reason() -> None:
    said = {canonicalize_name(found.name): licence(found.metadata) for found in shipped()}
    assert {"botocore", "click", "psycopg", "pydantic"} <= said.keys()
    refused = {name: text for name, text in said.items() if not permitted(text)}
    assert refused == {name: text for name, (text, _) in EXCEPTIONS.items()}


def test_what_is_not_permissive_is_refused() -> None:
    assert permitted("MIT") and permitted("GPL-3.0-only OR MIT") and permitted("MIT AND BSD-3-Clause")
    assert not any(map(permitted, ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MIT AND (MIT OR ISC)", "none", ""]))
