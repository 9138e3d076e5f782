"""The splice prototype: the least Python that maps ids and rewrites references; keys and indexes after the load."""

from __future__ import annotations

import sys

from bench.peers import targets
from bench.peers.measure import Job
from bench.peers.peer import Does, Peer, Phase, Place

_ID_MAP = "create table id_map (entity smallint not null, legacy_id int not null, id uuid not null);"


def _job(place: Place) -> Job:
    then = [["alter table id_map add primary key (entity, legacy_id)", *targets.keys_of_ids()], targets.foreign_keys()]
    order = {"legacy": place.legacy, "target": place.target, "writers": place.workers, "then": then}
    return Job((sys.executable, "-m", "bench.peers.prototype_job"), order)


PROTOTYPE = Peer(
    "prototype", "splice prototype, built late", Does(ids=True, references=True, constraints=True),
    {Phase.first: _job}, lambda: f"{targets.bare_with_ids()}\n{_ID_MAP}",
)  # fmt: skip
