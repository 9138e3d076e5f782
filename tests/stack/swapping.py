"""Another catalog under a deployment that runs: the layer alone is replaced, as a hasty person would in the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_sync_cli.stack import Stack
from tests.stack.emulated import zipped


@contextmanager
def swapped_catalog(stack: Stack, edits: dict[str, tuple[str, str]]) -> Iterator[None]:
    """The unpublished code of all functions has the edited catalog for a while; published versions keep theirs."""
    files = {path.name: path.read_text("utf-8") for path in Path("layers/catalog").glob("*.yaml")}
    for name, (old, new) in edits.items():
        assert old in files[name]
        files[name] = files[name].replace(old, new)
    lambdas = stack.client("lambda")
    content = zipped({f"python/hybrid_sync_catalog/{name}": text for name, text in files.items()})
    edited = lambdas.publish_layer_version(LayerName="edited", Content={"ZipFile": content})["LayerVersionArn"]
    before = {
        function["FunctionName"]: [used["Arn"] for used in function.get("Layers", ())]
        for function in lambdas.list_functions()["Functions"]
    }
    assert any("CatalogLayer" in layer for layers in before.values() for layer in layers)
    for name, layers in before.items():
        swapped = [edited if "CatalogLayer" in layer else layer for layer in layers]
        lambdas.update_function_configuration(FunctionName=name, Layers=swapped)
    yield
    for name, layers in before.items():
        lambdas.update_function_configuration(FunctionName=name, Layers=layers)
