"""Whether every pod is answered once, fits where it is sent, and may run there by itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import sub
from typing import NamedTuple

from agent.core.inputs import PackingInput, PackingResult, Pair
from agent.core.nodeaffinity import alternatives
from agent.core.offerings import is_allowed, is_exhausted
from agent.core.requirements import ABSENT, Requirements, ValueSet, normalized_labels, type_labels
from agent.core.shelf import Shelf
from agent.core.taints import lasting, untolerated
from agent.core.templates import daemon_pods
from agent.core.verifying.faults import PlanInvalid
from agent.model import names
from agent.model.actions import Launch
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Pod
from agent.model.names import InstanceTypeName, PodKey
from agent.model.plan import Placement
from agent.model.resources import ZERO, Resources

_MOST_KEPT = 256
"""So many answers are kept, for launches that name the same types."""
_LATER = {names.REGISTERED: "true", names.INITIALIZED: "true", names.HOSTNAME: "*"}
"""Labels that a node gets once it is there; its host name is one that no pod can name."""
_PLACE = {names.ZONE, names.CAPACITY_TYPE}


def check_nodes(asked: PackingInput, result: PackingResult, pods: Mapping[PodKey, Pod]) -> None:
    """Check the pods of each node, room that is there and launches alike.

    Raises:
        PlanInvalid: naming the pod or launch.
    """
    _each_once(pods, result)
    launches = _Launches(asked)
    for launch in result.launches:
        launches.check(launch, [pods[key] for key in launch.pods])
    _rooms_hold(asked, result.placements, pods)


def _each_once(pods: Mapping[PodKey, Pod], result: PackingResult) -> None:
    answered = [p.pod for p in result.placements] + [r.pod for r in result.refusals] + list(result.waiting)
    if sorted(answered) != sorted(pods):
        raise PlanInvalid("a pod is answered twice, not at all, or was never asked about")
    launched = [(key, launch.id) for launch in result.launches for key in launch.pods]
    if sorted(launched) != sorted((p.pod, p.launch) for p in result.placements if p.launch is not None):
        raise PlanInvalid("placements and launches name different pods")
    if any((p.node is None) + (p.claim is None) + (p.launch is None) != 2 for p in result.placements):  # noqa: PLR2004
        raise PlanInvalid("a pod is placed in more than one place, or in none")


class _Alike(NamedTuple):
    """What is the same in launches that are required to be the same: checked once."""

    offered: "_Offered"
    least: Resources
    """What all of the types have for pods, beside DaemonSets."""
    allowed: set[object]
    """Kinds of pods that may run on all of them."""


class _Offered:
    """Types that are offered as required, and what each has for pods beside DaemonSets."""

    def __init__(
        self, shelf: Shelf, required: tuple[Requirement, ...], labels: Mapping[str, str], daemons: tuple[Pod, ...]
    ) -> None:
        self.types = shelf.types
        self.bought = Requirements.of(required)
        self.given = self.bought & Requirements.from_labels({**labels, **_LATER})
        self._daemons = daemons
        self._by_place = any(_PLACE & a.by_key.keys() for d in daemons for a in alternatives(d))
        self._rooms: dict[InstanceTypeName, Resources] = {}
        self._together: dict[tuple[InstanceTypeName, ...], Resources] = {}

    def together(self, launch: Launch) -> Resources:
        """What every type of a launch has."""
        listed = launch.instance_types
        if listed not in self._together:
            if len(self._together) == _MOST_KEPT:
                self._together.clear()
            rooms = self._rooms
            found = [rooms[name] if name in rooms else self._room(launch, name) for name in listed]
            self._together[listed] = _least(found)
        return self._together[listed]

    def _room(self, launch: Launch, name: InstanceTypeName) -> Resources:
        """What a type has, looked at once."""
        kind = self.types.get(name)
        if kind is None or not any(is_allowed(self.bought, o) for o in kind.offerings):
            raise PlanInvalid(f"launch {launch.id}: {name} is not offered as required")
        places: set[tuple[str, str] | None] = {None}
        if self._by_place:
            # What runs beside the pods depends on where EC2 has it: each offering that is allowed must hold them.
            places = {(o.zone, o.capacity_type) for o in kind.offerings if is_allowed(self.bought, o)}
        running = [[_requests(d) for d in self._daemons if _may_run(kind, self.given, d, place)] for place in places]
        found = self._rooms[name] = _least([reduce(sub, requests, kind.allocatable) for requests in running])
        return found


class _Launches:
    """Whatever type a launch falls back to must hold its pods and daemons, and be what its pods require."""

    def __init__(self, asked: PackingInput) -> None:
        self._asked = asked
        self._errors = tuple(e for e in asked.capacity_errors if e.until > asked.now)
        self._daemons = daemon_pods(asked)
        self._alike: dict[object, _Alike] = {}
        self._priced: set[object] = set()

    def check(self, launch: Launch, pods: Sequence[Pod]) -> None:
        """Raise PlanInvalid when the launch does not hold what is promised."""
        kinds = {_kind(pod): pod for pod in pods}
        alike = self._of(launch)
        for kind, pod in kinds.items():
            if kind in alike.allowed:
                continue
            if (taint := untolerated(pod.tolerations, launch.draft.taints)) is not None:
                raise PlanInvalid(f"launch {launch.id}: pod {pod.key} does not tolerate {taint.key}")
            for name in launch.instance_types if _asks_of_nodes(pod) else ():
                if not _may_run(alike.offered.types[name], alike.offered.given, pod):
                    raise PlanInvalid(f"launch {launch.id}: pod {pod.key} may not run on {name}")
            alike.allowed.add(kind)
        needed = Resources.total(map(_requests, pods))
        if not needed.fits_in(alike.least):
            raise PlanInvalid(f"launch {launch.id}: its pods do not fit on every one of its types")
        self._is_priced(launch, alike.offered.bought)

    def _of(self, launch: Launch) -> _Alike:
        draft = launch.draft
        # Launches that are alike were written with the very same values; equal ones that are not cost only time.
        key = (draft.node_class, id(draft.requirements), id(draft.labels), id(draft.taints), id(launch.instance_types))
        if key in self._alike:
            return self._alike[key]
        # Which of its types a launch becomes is no requirement of any: all else decides what each of them offers.
        rest = tuple(r for r in draft.requirements if r.key != names.INSTANCE_TYPE)
        daemons = tuple(d for d in self._daemons if untolerated(d.tolerations, draft.taints) is None)
        shelf = self._asked.shelf(draft.node_class)
        offered = self._asked.shelves.kept(_Offered, shelf, rest, draft.labels, daemons)
        found = self._alike[key] = _Alike(offered, offered.together(launch), set())
        return found

    def _is_priced(self, launch: Launch, bought: Requirements) -> None:
        """The expected offering is there, allowed, not refused lately, and costs what is said."""
        expected = (launch.zone, launch.capacity_type, launch.price_nano_usd)
        seen = (launch.draft.node_class, id(launch.draft.requirements), launch.instance_type, expected)
        if seen in self._priced:
            return
        self._priced.add(seen)
        kind = self._asked.shelf(launch.draft.node_class).types[launch.instance_type]
        if launch.instance_type not in launch.instance_types or not any(
            (o.zone, o.capacity_type, o.price_nano_usd) == expected
            and is_allowed(bought, o)
            and not is_exhausted(kind.name, o, self._errors)
            for o in kind.offerings
        ):
            raise PlanInvalid(f"launch {launch.id}: there is no such offering as the expected one")


def _kind(pod: Pod) -> object:
    selected = tuple(sorted(pod.node_selector.items())) if pod.node_selector else ()
    return (selected, pod.affinity_terms, pod.volume_terms, pod.tolerations)


def _asks_of_nodes(pod: Pod) -> bool:
    """Whether the node's labels matter to the pod."""
    return bool(pod.node_selector or pod.affinity_terms or pod.volume_terms)


def _requests(pod: Pod) -> Resources:
    return pod.requests if pod.requests.pods else pod.requests + Resources(pods=1)


def _least(rooms: Sequence[Resources]) -> Resources:
    """The least of each resource; what one of them lacks counts as none."""
    if not rooms:
        return ZERO
    named = sorted({name for room in rooms for name, _ in room.extended})
    return Resources(
        min([room.cpu_milli for room in rooms]),
        min([room.memory_bytes for room in rooms]),
        min([room.pods for room in rooms]),
        min([room.ephemeral_storage_bytes for room in rooms]),
        tuple((name, min(room.amount(name) for room in rooms)) for name in named),
    )


def _may_run(kind: InstanceType, given: Requirements, pod: Pod, place: tuple[str, str] | None = None) -> bool:
    """Whether a node of the type that a launch may become is what the pod requires, in one place or in any.

    A pod must run on every such node; a DaemonSet's counts where it runs on some. A place is a zone and a capacity
    type.
    """
    if not _asks_of_nodes(pod):
        return True
    places = [(o.zone, o.capacity_type) for o in kind.offerings] if place is None else [place]
    own = type_labels(kind.requirements) & Requirements(
        {
            names.INSTANCE_TYPE: ValueSet(frozenset({kind.name})),
            names.ZONE: ValueSet(frozenset(zone for zone, _ in places)),
            names.CAPACITY_TYPE: ValueSet(frozenset(capacity_type for _, capacity_type in places)),
        }
    )
    node = (own & given).by_key
    fits = ValueSet.intersects if pod.is_daemon else ValueSet.__le__
    return any(all(fits(node.get(k, ABSENT), v) for k, v in a) for a in alternatives(pod))


def _rooms_hold(asked: PackingInput, placements: Iterable[Placement], pods: Mapping[PodKey, Pod]) -> None:
    """Pods that are sent to a node or claim fit beside those that are there, and may run there."""
    sent: defaultdict[tuple[bool, str], list[Pod]] = defaultdict(list)
    for placement in placements:
        if placement.launch is None:
            sent[placement.node is not None, placement.node or placement.claim or ""].append(pods[placement.pod])
    nodes: dict[str, Pair] = {pair.node.name: pair for pair in asked.pairs if pair.node is not None}
    claims: dict[str, Pair] = {
        pair.claim.name: pair for pair in asked.pairs if pair.claim is not None and pair.node is None
    }
    there = asked.shelves.latest(_used, asked.bound)
    for (is_node, name), placed in sent.items():
        pair = (nodes if is_node else claims).get(name)
        if pair is None or name in asked.without or _is_going(pair):
            raise PlanInvalid(f"pod {placed[0].key} is sent to {name}, which takes none")
        needed = Resources.total((there.get(name, ZERO) if is_node else ZERO, *map(_requests, placed)))
        if not needed.fits_in(_room(pair)):
            raise PlanInvalid(f"the pods that are sent to {name} do not fit there")
        for pod in {_kind(pod): pod for pod in placed}.values():
            _accepts(pair, pod)


def _used(bound: Iterable[Pod]) -> dict[str | None, Resources]:
    """What the pods that run ask together on each node."""
    there: defaultdict[str | None, list[Resources]] = defaultdict(list)
    for pod in bound:
        if not pod.is_finished:
            there[pod.node_name].append(pod.requests)
    return {name: Resources.total(own) for name, own in there.items()}


def _is_going(pair: Pair) -> bool:
    return any(o is not None and o.meta.deleted_at is not None for o in (pair.node, pair.claim))


def _room(pair: Pair) -> Resources:
    """The most that a node or claim can be said to have; before it is initialised the claim's word counts too."""
    claim, node = pair.claim, pair.node
    promised = ZERO
    if claim is not None:
        promised = claim.allocatable if claim.allocatable != ZERO else claim.requests
    if node is None or (claim is not None and not claim.is_true("Initialized")):
        return promised if node is None else promised.largest(node.allocatable)
    return node.allocatable


def _accepts(pair: Pair, pod: Pod) -> None:
    """Raise PlanInvalid when the node's taints or labels, as they are or will be, keep the pod away."""
    claim, node = pair.claim, pair.node
    taints = node.taints if node is not None else ()
    if claim is not None and not claim.is_true("Initialized"):
        taints = lasting((*taints, *claim.taints), claim)
    if (taint := untolerated(pod.tolerations, taints)) is not None:
        raise PlanInvalid(f"pod {pod.key} does not tolerate {taint.key} where it is sent")
    if node is not None and (claim is None or claim.is_true("Registered")) and _asks_of_nodes(pod):
        labels = {names.HOSTNAME: node.name} | normalized_labels(node.meta.labels)
        if not any(alternative.admits(labels) for alternative in alternatives(pod)):
            raise PlanInvalid(f"pod {pod.key} may not run on {node.name}")
