"""The calls are recorded by the embedded EC2."""

from tests.sim.conftest import server, session, world

__all__ = ["server", "session", "world"]
