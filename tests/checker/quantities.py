"""Amounts as Kubernetes writes them, and what a pod asks of its node, as exact fractions.

Sources: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity; of init containers and sidecars
kubernetes.io/docs/concepts/workloads/pods/init-containers and .../sidecar-containers; of pod overhead and resources of
a whole pod kubernetes.io/docs/concepts/scheduling-eviction/pod-overhead and .../manage-resources-containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
Amounts = dict[str, Fraction]

NUMBER = re.compile(r"([+-]?[0-9]+\.?[0-9]*|[+-]?\.[0-9]+)(.*)")
EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
AT_POD_LEVEL = ("cpu", "memory")
"""Beside hugepages-*, what spec.resources of a pod may say."""


def amount(text: str | float) -> Fraction:
    """The exact value of a quantity. Raises ValueError for anything else."""
    found = NUMBER.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Fraction(found[1].removesuffix(".")), found[2]
    if suffix in DECIMAL:
        return _scaled(number, DECIMAL[suffix])
    if suffix in BINARY:
        return number * (1 << BINARY[suffix])
    exponent = EXPONENT.fullmatch(suffix)
    if exponent is None:
        raise ValueError(f"{text!r} is no quantity")
    return _scaled(number, int(exponent[1]))


def _scaled(number: Fraction, exponent: int) -> Fraction:
    power: int = 10 ** abs(exponent)
    return number * power if exponent >= 0 else number / power


def amounts(listed: Mapping[str, Any] | None) -> Amounts:
    return {name: amount(text) for name, text in (listed or {}).items()}


def plus(*many: Mapping[str, Fraction]) -> Amounts:
    total: Amounts = {}
    for one in many:
        for name, value in one.items():
            total[name] = total.get(name, Fraction(0)) + value
    return total


def largest(*many: Mapping[str, Fraction]) -> Amounts:
    return {name: max(one.get(name, Fraction(0)) for one in many) for name in {n for one in many for n in one}}


def short_of(asked: Mapping[str, Fraction], room: Mapping[str, Fraction]) -> str | None:
    """The first resource that the room has too little of; asking for zero of something fits everywhere."""
    return next((n for n, v in sorted(asked.items()) if v > 0 and v > room.get(n, Fraction(0))), None)


def requests(spec: Json) -> Amounts:
    """What the scheduler counts for a pod, itself as one of ``pods``."""
    total = _containers(spec)
    level = spec.get("resources") or {}
    limits, own = amounts(level.get("limits")), amounts(level.get("requests"))
    for name, limit in limits.items():
        own.setdefault(name, total.get(name) or limit)
    total |= {n: v for n, v in own.items() if n in AT_POD_LEVEL or n.startswith("hugepages-")}
    return plus(total, amounts(spec.get("overhead")), {"pods": Fraction(1)})


def _containers(spec: Json) -> Amounts:
    """The running containers with all sidecars, or the highest moment of initialisation, whichever is more."""
    sidecars: Amounts = {}
    peaks: list[Amounts] = []
    for container in spec.get("initContainers") or ():
        own = _requests_of(container)
        if container.get("restartPolicy") == "Always":
            sidecars = plus(sidecars, own)
            peaks.append(sidecars)
        else:
            peaks.append(plus(sidecars, own))
    running = plus(*(_requests_of(c) for c in spec.get("containers") or ()), sidecars)
    return largest(running, *peaks)


def _requests_of(container: Json) -> Amounts:
    """A limit without a request is a request."""
    resources = container.get("resources") or {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def host_ports(spec: Json) -> Iterable[tuple[str, int, str]]:
    """(protocol, port, address) that the pod takes on its node; sidecars count, other init containers do not."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*sidecars, *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else None)
            if number:
                yield port.get("protocol") or "TCP", int(number), port.get("hostIP") or "0.0.0.0"


def ports_clash(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    every = {"0.0.0.0", "::"}
    return one[:2] == other[:2] and (one[2] == other[2] or one[2] in every or other[2] in every)
