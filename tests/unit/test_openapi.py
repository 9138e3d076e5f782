"""The API about itself: the document is of the table and valid, answers are as it says, the page fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from hybrid_sync.http.endpoints import ENDPOINTS
from hybrid_sync.http.openapi import document
from tests.unit.asking import Desk, event

BASE = "https://abc.execute-api.us-east-1.amazonaws.com/live"
DOCUMENT = document(BASE)
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def conforms(name: str, told: Any) -> None:
    """Whether an answer is of this shape."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:api", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    )
    schema = {"$ref": f"urn:api#/components/schemas/{name}"}
    Draft202012Validator(schema, registry=registry).validate(told)


def test_the_document_has_each_endpoint_with_its_scope_and_every_shape_that_it_names() -> None:
    told = {
        name: (path, method.upper(), [scope for each in operation["security"] for scope in each["bearer"]])
        for name, (path, method, operation) in OPERATIONS.items()
    }
    assert told == {e.name: (e.path, e.method, [e.scope] if e.scope else []) for e in ENDPOINTS}
    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT) <= {f"#/components/schemas/{name}" for name in schemas}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for _, _, operation in OPERATIONS.values():
        for parameter in operation["parameters"]:
            Draft202012Validator.check_schema(parameter["schema"])


def test_the_document_is_of_the_address_that_was_asked_and_names_nothing_of_the_catalog() -> None:
    status, told = Desk().ask("GET", "/openapi.json")
    assert (status, told["openapi"], told["servers"]) == (200, "3.1.0", [{"url": BASE}])
    assert told == DOCUMENT
    text = json.dumps(told)
    assert not [name for name in Desk().catalog.entities if re.search(rf"\bdispatch_|\b{name}_id\b", text)]


def test_answers_and_refusals_are_as_the_document_says() -> None:
    desk = Desk()
    conforms("StartedSync", desk.ask("POST", "/v1/syncs", {"entities": ["orders"]})[1])
    [run_id] = desk.starter.runs
    conforms("SyncState", desk.ask("GET", f"/v1/syncs/{run_id}")[1])
    conforms("Health", desk.ask("GET", "/v1/health")[1])
    conforms("Route", desk.ask("GET", "/v1/entities/orders/route")[1])
    conforms("Problem", desk.ask("GET", "/v1/holds")[1])


MOMENTS = {
    "2026-11-01T00:00:00Z": 202, "2026-11-01t00:00:00.5+02:00": 202, "2026-11-01T00:00:00-19:19": 202,
    "2026-11-01T00:00:00": 422, "2026-11-01": 422, "1790000000": 422, "0001-01-01T00:00:00+23:59": 422,
}  # fmt: skip


@pytest.mark.parametrize(("moment", "status"), MOMENTS.items())
def test_a_moment_is_as_the_document_says_whatever_its_offset(moment: str, status: int) -> None:
    desk = Desk()
    answered, told = desk.ask("POST", "/v1/syncs", {"entities": ["orders"], "since": moment})
    assert answered == status, told
    if status == 202:
        assert str(desk.only_run().since).endswith("+00:00")  # PostgreSQL takes no offset of 19 hours


@pytest.mark.parametrize(
    "body",
    [{"dry_run": 1}, {"dry_run": "yes"}, {"since": 1_790_000_000}, {"since": True}, {"entities": {"orders": 1}}],
)
def test_what_the_document_does_not_allow_is_refused(body: dict[str, Any]) -> None:
    assert Desk().ask("POST", "/v1/syncs", {"entities": ["orders"], **body})[0] == 422


class Page(HTMLParser):
    """What a page names and links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.ids |= {str(found["id"])} if "id" in found else set()
        self.links |= {str(found[name]) for name in ("href", "src") if name in found}


def test_the_page_tells_each_endpoint_and_shape_and_fetches_nothing() -> None:
    answer = Desk().api.resolve(event("GET", "/docs", None, {}))
    text = answer["body"]
    page = Page(text)
    assert answer["headers"]["Content-Type"] == "text/html"
    assert page.ids >= set(OPERATIONS) | set(DOCUMENT["components"]["schemas"])
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not page.tags & {"script", "link", "img", "iframe", "form", "base"}
    [style] = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer["headers"]["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
