"""Kubernetes quantities as integers, and back to text.

The grammar is that of ``k8s.io/apimachinery/pkg/api/resource``: a decimal number and either a binary suffix
(Ki … Ei), a decimal suffix (n u m k M G T P E) or a decimal exponent. Amounts finer than the unit round away
from zero, as ``Quantity.Value`` and ``MilliValue`` do, and nothing exceeds the range of an int64.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from agent.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, Resources

_GRAMMAR: Final = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+)(?:\.(?P<fraction>[0-9]*))?|\.(?P<bare>[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]?)(?:(?<![A-Za-z])[eE](?P<exponent>[+-]?[0-9]+))?"
)
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_MAX: Final = 2**63 - 1
_MAX_LENGTH: Final = 128
"""Longer texts are refused: no quantity that means anything needs them, and work on digits grows with their square."""
_MAX_EXPONENT: Final = 2 * _MAX_LENGTH
"""Beyond it a number is out of range, or below the unit, whatever its digits are."""
_BYTES: Final = (MEMORY, EPHEMERAL_STORAGE)
_MEBIBYTE: Final = 1 << 20


class QuantityError(ValueError):
    """A text is not a Kubernetes quantity."""


@lru_cache(maxsize=16384)
def parse_cpu_milli(text: str) -> int:
    """CPU in thousandths of a core.

    Raises:
        QuantityError: the text is not a quantity.
    """
    return _scaled(text, 1000)


@lru_cache(maxsize=16384)
def parse_amount(text: str) -> int:
    """Bytes, counts and every other unit, rounded up to whole ones.

    Raises:
        QuantityError: the text is not a quantity.
    """
    return _scaled(text, 1)


def parse_resources(amounts: Mapping[str, str | int | float]) -> Resources:
    """A resource list as the API server prints it; numbers are taken as YAML would leave them.

    Raises:
        QuantityError: an amount is not a quantity; the message names the resource.
    """
    parsed: dict[str, int] = {}
    for name, amount in amounts.items():
        if isinstance(amount, bool):
            raise QuantityError(f"{name}: {str(amount).lower()} is not a quantity")
        try:
            parsed[name] = parse_cpu_milli(str(amount)) if name == CPU else parse_amount(str(amount))
        except QuantityError as error:
            raise QuantityError(f"{name}: {error}") from error
    return Resources.of(parsed)


def format_cpu(milli: int) -> str:
    """Whole cores as a plain number, anything else in thousandths: ``2``, ``1500m``."""
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def format_amount(name: str, amount: int) -> str:
    """An amount in the units of ``Resources``: bytes with the largest binary suffix that loses nothing."""
    if name == CPU:
        return format_cpu(amount)
    if amount == 0 or not _is_bytes(name):
        return str(amount)
    for suffix, bits in reversed(_BINARY.items()):
        if amount % (1 << bits) == 0:
            return f"{amount >> bits}{suffix}"
    return str(amount)


def format_rounded(name: str, amount: int) -> str:
    """The same for people: bytes beyond one MiB in whole ones, rounded down."""
    return format_amount(name, amount - amount % _MEBIBYTE if _is_bytes(name) and amount > _MEBIBYTE else amount)


def format_resources(resources: Resources) -> dict[str, str]:
    """A resource list as Kubernetes prints it; resources of amount zero are left out."""
    return {name: format_amount(name, amount) for name, amount in resources.items()}


def _is_bytes(name: str) -> bool:
    return name in _BYTES or name.startswith("hugepages-")


def _scaled(text: str, per_unit: int) -> int:
    match = _GRAMMAR.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise QuantityError(f"{text[:_MAX_LENGTH]!r} is not a quantity: expected a number such as 2, 500m, 1.5 or 4Gi")
    fraction = match["fraction"] or match["bare"] or ""
    mantissa = int((match["whole"] or "") + fraction) * per_unit
    suffix = match["suffix"]
    power = _DECIMAL.get(suffix, 0) + int(match["exponent"] or 0) - len(fraction)
    power = max(-_MAX_EXPONENT, min(power, _MAX_EXPONENT))
    up: int = 10 ** max(power, 0)
    down: int = 10 ** max(-power, 0)
    magnitude = min(-(-(mantissa << _BINARY.get(suffix, 0)) * up // down), _MAX)
    return -magnitude if match["sign"] == "-" else magnitude
