"""How a person's command reaches a machine over SSH: the options that `joinery join` and `joinery logs` share."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

import click
import msgspec

from agent.ssh.connection import Address, Keys, Machine, connected

F = TypeVar("F", bound=Callable[..., object])
PLACE: Final = "[USER@]HOST[:PORT]"


class Place(click.ParamType[Address]):
    """``[USER@]HOST[:PORT]``."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Take the text apart; anything else is wrong usage."""
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Way(msgspec.Struct, frozen=True):
    """With which keys, and by way of which machine."""

    identity_file: Path | None
    bastion: Address | None
    known_hosts: Path

    def to(self, address: Address) -> AbstractContextManager[Machine]:
        """Connect. Raises ``SshError``."""
        return connected(address, Keys(self.known_hosts.expanduser(), self.identity_file), self.bastion)


def way_options(command: F) -> F:
    """Add the options that a ``Way`` is made of; they arrive as one argument, ``way``."""

    @click.option("--identity-file", type=click.Path(path_type=Path), help="Private key.  [default: agent, ~/.ssh]")
    @click.option("--bastion", type=Place(), metavar=PLACE, help="Go by way of this machine.")
    @click.option("--known-hosts", type=click.Path(path_type=Path), default="~/.ssh/known_hosts", show_default=True)
    @functools.wraps(command)
    def asked(identity_file: Path | None, bastion: Address | None, known_hosts: Path, **given: object) -> None:
        command(way=Way(identity_file, bastion, known_hosts), **given)

    return asked  # type: ignore[return-value]  # click takes the options from it
