"""All mutants, by rule."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants
from tests.mutation.algebra import ALGEBRA
from tests.mutation.claims import CLAIMS
from tests.mutation.limits import LIMITS, RESERVED
from tests.mutation.loop import LOOP
from tests.mutation.nodepools import NODEPOOLS
from tests.mutation.overlays import OVERLAYS
from tests.mutation.pending import PENDING
from tests.mutation.pools import POOLS
from tests.mutation.resources import RESOURCES
from tests.mutation.static import STATIC
from tests.mutation.topology import TOPOLOGY
from tests.mutation.volumes import VOLUMES

MUTANTS: Final[Mutants] = {
    **PENDING,
    **POOLS,
    **ALGEBRA,
    **LOOP,
    **RESOURCES,
    **TOPOLOGY,
    **VOLUMES,
    **LIMITS,
    **RESERVED,
    **STATIC,
    **OVERLAYS,
    **CLAIMS,
    **NODEPOOLS,
}
