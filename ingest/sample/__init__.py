"""A synthetic roll-out with known truth, and a server that speaks the portals' formats.

Belongs here: everything that is invented (and says so), and what is true in that world. Does not: anything that reads a delivery;
the competent authorities are derived here once more, on purpose, so that truth never rests on the code it tests.

Public: ``Parameters``, ``make_world``, ``write_sample``, ``serve``.
"""

from __future__ import annotations

from ingest.sample.files import write_sample
from ingest.sample.parameters import Parameters
from ingest.sample.server import SampleServer, serve
from ingest.sample.world import World, make_world

__all__ = ["Parameters", "SampleServer", "World", "make_world", "serve", "write_sample"]
