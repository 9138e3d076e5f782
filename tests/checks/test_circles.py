"""No module needs one that needs it: neither when it is loaded, nor later, nor for its types alone."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


@pytest.mark.parametrize("package", ["hybrid_sync", "hybrid_sync_cli"])
def test_imports_run_in_no_circle(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)
    # A package's own __init__ is where its modules stand; it imports none of them.
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))
