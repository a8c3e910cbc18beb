"""What the scheduler reserves for a pod, by the rules of kube-scheduler's ``PodRequests``.

Sources: kubernetes.io/docs/concepts/workloads/pods/sidecar-containers (resource sharing within containers),
.../pods/pod-overhead, KEP-2837 (pod-level resources) and KEP-1287 (in-place resize).
"""

from collections.abc import Iterable

import msgspec

from agent.kube.wire.objects import Quantities, resources
from agent.model.resources import CPU, MEMORY, ZERO, Resources

ONE_POD = Resources(pods=1)


class Needs(msgspec.Struct, gc=False):
    """``resources`` of a container or of a pod."""

    requests: Quantities | None = None
    limits: Quantities | None = None
    claims: tuple[msgspec.Raw, ...] | None = None
    """Of DRA."""

    def total(self) -> Resources:
        """Requests; a limit stands in where a request is missing (the API server's own default)."""
        if not self.limits:
            return resources(self.requests)
        stated: Quantities = {name: amount for name, amount in (self.requests or {}).items() if amount is not None}
        return resources(self.limits | stated)


class Port(msgspec.Struct, gc=False, rename="camel"):
    """``ports[]``."""

    host_port: int | None = None
    container_port: int | None = None
    protocol: str | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")


class Container(msgspec.Struct, gc=False, rename="camel"):
    """``containers[]`` and ``initContainers[]``."""

    name: str | None = None
    resources: Needs | None = None
    restart_policy: str | None = None
    ports: tuple[Port, ...] | None = None


class ContainerStatus(msgspec.Struct, gc=False, rename="camel"):
    """``status.containerStatuses[]``: what the kubelet has given, which lags behind a resize in place."""

    name: str | None = None
    resources: Needs | None = None
    allocated_resources: Quantities | None = None

    def given(self) -> Resources:
        """The larger of what runs and what is promised."""
        running = resources(self.resources.requests) if self.resources is not None else ZERO
        return running.largest(resources(self.allocated_resources)) if self.allocated_resources else running


class Given(msgspec.Struct):
    """What the status adds to the formula."""

    by_container: dict[str, ContainerStatus]
    infeasible: bool = False
    """The node refused the resize for good: the spec's figure is a wish and what was given stays."""


def asked(container: Container, given: Given | None) -> Resources:
    """Of one container: the larger of spec and status, as the scheduler counts while a resize is under way."""
    needs = container.resources
    spec = needs.total() if needs is not None else ZERO
    status = given.by_container.get(container.name or "") if given is not None else None
    if status is None or status.resources is None:
        return spec
    if needs is not None and status.resources.requests == needs.requests and not status.allocated_resources:
        return spec
    held = status.given()
    return held if given is not None and given.infeasible else spec.largest(held)


def pod_requests(
    init_containers: Iterable[Container],
    containers: Iterable[Container],
    whole: Needs | None,
    overhead: Quantities | None,
    given: Given | None = None,
) -> Resources:
    """The larger of what runs together and of each start-up step with the sidecars begun before it, plus overhead."""
    sidecars, peak = ZERO, ZERO
    for container in init_containers:
        needs = asked(container, given)
        if container.restart_policy == "Always":
            sidecars = sidecars + needs
            peak = peak.largest(sidecars)
        else:
            peak = peak.largest(sidecars + needs)
    running = sidecars
    for container in containers:
        running = running + asked(container, given)
    total = running if peak == ZERO else running.largest(peak)
    if whole is not None:
        total = _pod_level(total, whole)
    if overhead:
        total = total + resources(overhead)
    return total + ONE_POD


def _pod_level(total: Resources, whole: Needs) -> Resources:
    """``spec.resources`` stands over the sum; its limit stands in only where nobody requests anything."""
    amounts = dict(total.items())
    for name, amount in resources(whole.limits).items():
        if _whole_pod(name):
            amounts.setdefault(name, amount)
    # Also a request of zero is a request, which Resources does not list.
    stated = {name for name, amount in (whole.requests or {}).items() if amount is not None and _whole_pod(name)}
    requested = resources(whole.requests)
    return Resources.of(amounts | {name: requested.amount(name) for name in stated})


def _whole_pod(name: str) -> bool:
    return name in {CPU, MEMORY} or name.startswith("hugepages-")
