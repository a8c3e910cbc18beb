"""The adapters are tested against the embedded EC2."""

from tests.sim.conftest import server, session, world

__all__ = ["server", "session", "world"]
