"""The API as a page to read, drawn from its OpenAPI document: no script, and nothing is fetched from anybody."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from hybrid_sync.http.openapi import document

Json = dict[str, Any]


@cache
def manual(base: str) -> tuple[str, str]:
    """The page, and the policy under which a browser may show it: this style sheet and nothing else."""
    spec = document(base)
    style = _file("manual.css")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters |= {"kind": kind, "name": _name}
    text = page.from_string(_file("manual.html")).render(
        about=spec["info"], base=base, operations=_operations(spec), schemas=spec["components"]["schemas"],
        style=Markup(style),  # nosec B704 - a file of ours
    )  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return text, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"


def kind(schema: Json) -> Markup:
    """What a field may hold, in a few words; a named shape is a link to its description."""
    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(_name(schema["$ref"]))
    if "anyOf" in schema:
        return Markup(" or ").join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    if "items" in schema:
        return Markup("list of {}").format(kind(schema["items"]))
    word = schema.get("format") or schema.get("type") or "anything"
    return Markup("{} <code>{}</code>").format(word, schema["pattern"]) if "pattern" in schema else escape(word)


def _operations(spec: Json) -> list[Json]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    ]


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _file(name: str) -> str:
    return (resources.files("hybrid_sync.http") / name).read_text(encoding="utf-8")
