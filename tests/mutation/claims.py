"""The life of a claim without one of the rules (section 18)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

LIFECYCLE: Final = "agent/core/lifecycle.py"
EVENTS: Final = "agent/core/podevents.py"
NODES: Final = "agent/daemon/act/nodes.py"
ROOMS: Final = "agent/core/rooms.py"
TERMINATION: Final = "agent/core/termination.py"
WORLD: Final = "agent/core/world.py"

CLAIMS: Final[Mutants] = {
    "18.1": (
        # A node is initialised without being registered.
        Mutant(LIFECYCLE, 'if not claim.is_true("Registered"):', "if False:"),
        # It is initialised over and over.
        Mutant(LIFECYCLE, 'if not claim.is_true("Initialized"):', "if True:"),
        # Nothing keeps a claim before its instance is bought.
        Mutant("agent/kube/wire/cluster.py", '"finalizers": [names.TERMINATION_FINALIZER],', '"finalizers": [],'),
        # A claim is no room before it is a node.
        Mutant(ROOMS, "elif pair.claim is not None:", "elif False:"),
    ),
    "18.2": (
        # What was asked is forgotten, and asked in other words.
        Mutant(LIFECYCLE, "request=intent,", "request=None,"),
        # What was bought is not looked for.
        Mutant(LIFECYCLE, "if found is not None and found.alive:", "if False:"),
    ),
    "18.3": (
        # A claim waits for capacity.
        Mutant(
            LIFECYCLE,
            'return _give_up(claim, "InsufficientCapacity"',
            'return Step() or _give_up(claim, "InsufficientCapacity"',
        ),
        # It waits for its class.
        Mutant(
            LIFECYCLE,
            'return _give_up(claim, "NodeClassNotReady"',
            'return Step() or _give_up(claim, "NodeClassNotReady"',
        ),
        # What EC2 has none of is asked for at once again.
        Mutant("agent/core/building.py", " & ~shelf.exhausted(errors)", ""),
    ),
    "18.4": (
        # The claim keeps what was asked for.
        Mutant(LIFECYCLE, "allocatable=kind.allocatable if kind else claim.requests", "allocatable=claim.requests"),
        Mutant(LIFECYCLE, "names.ZONE: machine.zone,", ""),
        # What was recorded is not read.
        Mutant(ROOMS, "total = claim.allocatable if launched else claim.requests", "total = claim.requests"),
    ),
    "18.5": (
        # Whoever states the instance's id is its node.
        Mutant(
            WORLD, "right = next((n for n in stated if n.name == wanted), None)", "right = next(iter(stated), None)"
        ),
    ),
    "18.6": (
        # The pool's taints are not given,
        Mutant(LIFECYCLE, "taints=(*kept, *given)", "taints=kept"),
        # or are given though the node sets its own,
        Mutant(LIFECYCLE, "*claim.startup_taints) if synced else ()", "*claim.startup_taints)"),
        # nor its labels,
        Mutant(LIFECYCLE, "labels = claim.meta.labels | {", "labels = {"),
        # nor its annotations.
        Mutant(LIFECYCLE, 'if not k.startswith("joinery.sh/")}', 'if k.startswith("karpenter.")}'),
        # The node stays as it came.
        Mutant(LIFECYCLE, "if t.key != names.UNREGISTERED_TAINT and", "if"),
        # It has no finalizer, or loses others.
        Mutant(
            NODES,
            "{names.TERMINATION_FINALIZER, *_finalizers(hands, action.node.name)}",
            "_finalizers(hands, action.node.name)",
        ),
        # Pods may come before it is what its pool says.
        Mutant(NODES, "wire.taints((*action.taints, UNREGISTERED))", "wire.taints(action.taints)"),
        # Its claim owns it, as in Karpenter,
        Mutant(
            NODES,
            '"annotations": action.annotations,',
            '"annotations": action.annotations, "ownerReferences": [{"uid": action.claim.uid}],',
        ),
        # and no claim is made for a node that has lost its own.
        Mutant("agent/core/orphans.py", "adopted = [a for m in lost", "adopted = [a for m in lost[:0]"),
        # That a taint is missing is not told.
        Mutant(LIFECYCLE, "if not node.has_taint(names.UNREGISTERED_TAINT) and names", "if False and names"),
    ),
    "18.8": (
        # They are not given.
        Mutant(LIFECYCLE, "given = (*claim.taints, *claim.startup_taints)", "given = claim.taints"),
        # They are given until the node is initialised.
        Mutant(LIFECYCLE, 'if not claim.is_true("Registered"):', 'if not claim.is_true("Initialized"):'),
    ),
    "18.9": (
        # Whether it is Ready is not asked,
        Mutant(LIFECYCLE, 'node.ready != "True"', "False"),
        # nor whether startup taints are gone,
        Mutant(LIFECYCLE, "(t.key, t.effect) in startup or _is_ephemeral(t) for t", "_is_ephemeral(t) for t"),
        # nor those that it sheds by itself,
        Mutant(
            LIFECYCLE, "(t.key, t.effect) in startup or _is_ephemeral(t) for t", "(t.key, t.effect) in startup for t"
        ),
        # nor whether it has what was asked for.
        Mutant(LIFECYCLE, "any(node.allocatable.amount(name) == 0 for", "any(False for"),
    ),
    "18.10": (
        # A launch takes as long as it takes.
        Mutant(LIFECYCLE, "if deadline is not None and snapshot.now", "if False and snapshot.now"),
        # A join does.
        Mutant(LIFECYCLE, "if deadline is not None and world.snapshot.now", "if False and world.snapshot.now"),
    ),
    "18.11": (
        # However often joins fail, the next is bought at once, as in Karpenter.
        Mutant(
            "agent/core/pools.py",
            "elif failures.get(pool.name, 0) >= JOIN_FAILURES",
            "elif False and failures.get(pool.name, 0) >= JOIN_FAILURES",
        ),
        # A join ends nothing.
        Mutant("agent/core/pools.py", "and (pool.name in joined or held is None)", "and held is None"),
    ),
    "18.12": (
        # The node goes while its instance is still shutting down.
        Mutant(TERMINATION, 'if machine is not None and machine.state == "shutting-down":', "if False:"),
        # The node stays behind.
        Mutant(TERMINATION, "return Step((DeleteNode(reason=why, node=target(node.meta)),))", "pass"),
        # The claim does.
        Mutant(TERMINATION, "return Step((RemoveFinalizer(reason=why, claim=target(claim.meta)),))", "return Step()"),
    ),
    "18.14": (
        # A claim outlives its instance.
        Mutant(LIFECYCLE, 'return not machine.alive or machine.state == "stopped"', "return False"),
        # One look that misses it is enough.
        Mutant(LIFECYCLE, "snapshot.memory.empty_lookups.get(claim.uid, 0) >= LOOKS_UNTIL_GONE", "True"),
    ),
    "18.15": (
        # Nothing is an event.
        Mutant(EVENTS, "if known.get(claim.uid, digest) == digest or", "if True or"),
        # Pods of DaemonSets are one.
        Mutant(EVENTS, "if is_reschedulable(p) and is_active(p))", "if is_active(p))"),
        # There may be many in a second.
        Mutant(EVENTS, "elif last is not None and", "elif False and"),
        # The first look is one, as in Karpenter.
        Mutant(EVENTS, "if known.get(claim.uid, digest) == digest or", "if known.get(claim.uid) == digest or"),
        # It does not matter when the last one was.
        Mutant(
            "agent/core/disruption.py", "times = (claim.last_pod_event_at, initialized", "times = (None, initialized"
        ),
    ),
}
