"""Deployments in files: how many pending pods they stand for, when their pods are not in the files."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.core.requirements import Requirements, normalized_labels
from agent.kube.wire.objects import LabelSelector, Texts, WireFault, texts
from agent.manifests import Document
from agent.model.kubernetes import Pod

DEFAULT_NAMESPACE: Final = "default"
"""Where an object without a namespace goes, as with kubectl."""
MAX_REPLICAS: Final = 100_000
"""More pods than any cluster has; a slip of the finger should not fill the memory."""
WORKLOADS: Final = frozenset(
    {("apps", "Deployment"), ("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("batch", "Job")}
)


class Workload(msgspec.Struct, gc=False):
    """What a plan reads of a workload."""

    metadata: "_Meta"
    spec: "_Spec | None" = None

    @property
    def replicas(self) -> int:
        """Pods wanted; one when nothing is said, as in Kubernetes."""
        spec = self.spec or _Spec()
        if spec.replicas is not None:
            return spec.replicas
        return 1 if spec.parallelism is None else spec.parallelism

    @property
    def is_going(self) -> bool:
        """Being deleted: it makes no pods any more."""
        return self.metadata.deletion_timestamp is not None

    @property
    def is_owned(self) -> bool:
        """Made by another workload, which speaks for it."""
        return bool(self.metadata.owner_references)

    def selected(self) -> Requirements | None:
        """The labels of its pods, by its selector, else by its template's labels; None: it has none."""
        spec = self.spec or _Spec()
        if spec.selector is not None and (asked := spec.selector.model()):
            return Requirements.of(asked)
        made = (spec.template or _Template()).metadata or _TemplateMeta()
        wanted = texts(made.labels)
        return Requirements.from_labels(wanted) if wanted else None


class _Meta(msgspec.Struct, gc=False, rename="camel"):
    name: str | None = None
    namespace: str | None = None
    owner_references: tuple[msgspec.Raw, ...] | None = None
    deletion_timestamp: str | None = None


class _TemplateMeta(msgspec.Struct, gc=False):
    labels: Texts | None = None


class _Template(msgspec.Struct, gc=False):
    metadata: _TemplateMeta | None = None


class _Spec(msgspec.Struct, gc=False):
    replicas: int | None = None
    parallelism: int | None = None
    selector: LabelSelector | None = None
    template: _Template | None = None


_decoder = msgspec.json.Decoder(Workload)


def workload(raw: bytes) -> Workload:
    """Read one. Raises ``WireFault`` when it cannot be understood."""
    try:
        found = _decoder.decode(raw)
        if found.spec is not None and found.spec.selector is not None:
            found.spec.selector.model()
    except msgspec.MsgspecError as error:
        raise WireFault(str(error)) from error
    if not found.metadata.name:
        raise WireFault("is required - at `$.metadata.name`")
    if not 0 <= found.replicas <= MAX_REPLICAS:
        raise WireFault(f"must be 0..{MAX_REPLICAS} for a plan - at `$.spec.replicas`")
    return found


def labels_by_namespace(pods: Iterable[Pod]) -> dict[str, list[dict[str, str]]]:
    """Every set of labels that pods of a namespace have, once each: a Deployment's pods all have the same."""
    found: defaultdict[str, dict[tuple[tuple[str, str], ...], dict[str, str]]] = defaultdict(dict)
    for pod in pods:
        labels = normalized_labels(pod.meta.labels)
        found[pod.meta.namespace][tuple(sorted(labels.items()))] = labels
    return {namespace: list(sets.values()) for namespace, sets in found.items()}


def has_pods(found: Workload, pods: Mapping[str, Sequence[Mapping[str, str]]]) -> bool:
    """Whether any of the pods, as ``labels_by_namespace`` has them, is its own."""
    selected = found.selected()
    own = pods.get(found.metadata.namespace or DEFAULT_NAMESPACE, ())
    return selected is not None and any(selected.admits(labels) for labels in own)


def expanded(document: Document, found: Workload) -> Iterator[dict[str, Any]]:
    """The pods that a Deployment would have, as a ReplicaSet makes them: named ``<deployment>-<n>``, n from 0."""
    spec = document.obj.get("spec")
    template: Mapping[str, Any] = (spec.get("template") if isinstance(spec, Mapping) else None) or {}
    metadata: Mapping[str, Any] = template.get("metadata") or {}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": document.name, "controller": True}
    for number in range(found.replicas):
        yield {
            "metadata": {
                "name": f"{document.name}-{number}",
                "namespace": found.metadata.namespace or DEFAULT_NAMESPACE,
                "labels": metadata.get("labels"),
                "annotations": metadata.get("annotations"),
                "ownerReferences": [owner],
            },
            "spec": template.get("spec"),
        }
