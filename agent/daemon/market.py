"""Which instance types there are and what they cost: read from AWS now and then, kept when AWS does not answer."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from agent.aws.catalog import Catalog, describe_catalog
from agent.aws.errors import AwsError
from agent.aws.prices import Prices
from agent.aws.session import AwsSession
from agent.core.catalog import Market as Offers
from agent.core.catalog import instance_types
from agent.model.ec2 import InstanceType, NodeClass
from agent.model.names import ClassName

log = structlog.get_logger(__name__)

TYPES_EVERY = timedelta(hours=12)
SPOT_EVERY = timedelta(minutes=10)


class Market:
    """The catalogue with prices; ``instance_types`` is what a class makes of it."""

    def __init__(self, session: AwsSession, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock
        self._prices = Prices(session, clock)
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None
        self._types_at: datetime | None = None
        self._spot_at: datetime | None = None
        self._offers: Offers | None = None
        self._made: dict[ClassName, tuple[tuple[object, ...], tuple[InstanceType, ...]]] = {}
        self.fault = ""
        """Why the catalogue could not be read at last, one sentence; empty when it could."""

    def refresh(self) -> bool:
        """Read what is due. Returns whether anything changed; AWS's refusals are kept as ``fault``, never raised."""
        now = self._clock()
        before = self._offers
        try:
            if self._types_at is None or now - self._types_at >= TYPES_EVERY:
                self._catalog = describe_catalog(self._session)
                self._priced(self._prices.refresh_on_demand)
                self._types_at = now
            if self._spot_at is None or now - self._spot_at >= SPOT_EVERY:
                self._priced(self._prices.refresh_spot)
                self._spot_at = now
        except AwsError as error:
            self.fault = str(error)
            log.warning("catalog.unreadable", error=str(error))
            return False
        self.fault = ""
        self._publish()
        return self._offers != before

    def _priced(self, refresh: Callable[[], object]) -> None:
        """A price list that cannot be read leaves the last one, or the shipped one, in force."""
        try:
            refresh()
        except AwsError as error:
            table = self._prices.table()
            log.warning(
                "prices.unreadable", error=str(error), using=f"{table.source} of {table.date}", exact=table.exact
            )

    def _publish(self) -> None:
        catalog, table = self._catalog, self._prices.table()
        if catalog is None:
            return
        offers = Offers(zones=catalog.zones, on_demand=table.on_demand, spot=table.spot, region=self._session.region)
        with self._lock:
            if offers != self._offers:
                self._offers = offers
                self._made.clear()

    def ready(self) -> bool:
        """Whether the types are known at all."""
        return self._offers is not None

    def instance_types(self, classes: Iterable[NodeClass]) -> dict[ClassName, tuple[InstanceType, ...]]:
        """What nodes of each class would be; computed anew only when the class or the market changed."""
        with self._lock:
            if self._offers is None or self._catalog is None:
                return {}
            made = {}
            for node_class in classes:
                key = (
                    node_class.subnets,
                    node_class.images,
                    node_class.reservations,
                    node_class.kubelet,
                    node_class.root_volume_bytes,
                )
                held = self._made.get(node_class.name)
                if held is None or held[0] != key:
                    held = (key, instance_types(self._catalog.types, self._offers, node_class))
                made[node_class.name] = held
            self._made = made
            return {name: types for name, (_, types) in made.items()}
