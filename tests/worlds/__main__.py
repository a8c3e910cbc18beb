"""Many more worlds than a test run looks at: `python -m tests.worlds FIRST LAST [everything]` says what is wrong."""

from __future__ import annotations

import sys
from collections import Counter

from tests.checker import Case, faults
from tests.worlds import EVERYTHING, SUPPORTED, World, objects, seeded
from tests.worlds.planning import STAGES, after, case, counted, planned
from tests.worlds.test_laws import bought_again


def wrong(world: World) -> list[str]:
    """Sentences about the world's plan, and about the plan that follows it."""
    found = case(world, what="provision")
    said = faults(found)
    stranger = objects.containers({"cpu": "1"}) | {"nodeSelector": {"example.com/no-such": "label"}}
    more = [*world.objects, objects.pod("stranger", "shop", stranger, {"app": "stranger"})]
    if planned(more, world.catalogue, what="provision")["actions"] != found.plan["actions"]:
        said.append("a pod that nothing serves changes what is bought")
    for stage in STAGES:
        listed = after(found, stage)
        catalogue = counted(found) if stage == "joined" else world.catalogue
        again = planned(listed, catalogue, what="provision")
        said += [f"{pod} is bought for again while its node is {stage}" for pod in bought_again(found, again)]
        said += [f"{stage}: {text}" for text in faults(Case(listed, catalogue, again, {}, "provision"))]
    return said


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[2])
    features = EVERYTHING if sys.argv[3:] == ["everything"] else SUPPORTED
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        try:
            said = wrong(seeded(seed, features))
        except AssertionError as error:
            said = [f"no plan at all: {error}"]
        counts["sound" if not said else "wrong"] += 1
        for text in said:
            print(seed, text)
    print(dict(counts))


if __name__ == "__main__":
    main()
