"""How an object is read: decoded as what is on the wire, then made what the engine has."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from agent.kube.wire.objects import WireFault

W = TypeVar("W")
M = TypeVar("M")


def reader(wire: type[W], model: Callable[[W], M]) -> Callable[[bytes | msgspec.Raw], M]:
    """What reads one object and raises ``WireFault`` when it cannot be understood."""
    decoder = msgspec.json.Decoder(wire)

    def read(raw: bytes | msgspec.Raw) -> M:
        """Read one object. Raises ``WireFault`` when it cannot be understood."""
        try:
            return model(decoder.decode(raw))
        except msgspec.MsgspecError as error:
            raise WireFault(str(error)) from error

    return read
