"""CRDs from the models: one source for what the API server refuses and what the daemon understands.

A structural schema (kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions) has no
references and no unions, so pydantic's JSON Schema is unfolded, and ``X or null`` becomes an optional X.
"""

from typing import Any, Final

import msgspec

from agent.manifests.nodeclaim import NodeClaimManifest
from agent.manifests.nodeclass import EC2NodeClassManifest
from agent.manifests.nodeoverlay import NodeOverlayManifest
from agent.manifests.nodepool import NodePoolManifest
from agent.manifests.written import Written

Schema = dict[str, Any]


class Crd(msgspec.Struct, frozen=True):
    """What a CRD says beside its schema."""

    group: str
    kind: str
    plural: str
    model: type[Written]
    columns: tuple[tuple[str, str, str, int], ...]
    """(name, type, JSON path, priority); priority 1 shows with -o wide."""
    short_names: tuple[str, ...] = ()
    scale: bool = False
    version: str = "v1"

    @property
    def file(self) -> str:
        """Name of the generated file."""
        return f"{self.group}_{self.plural}.yaml"


_AGE: Final = ("Age", "date", ".metadata.creationTimestamp", 0)
_READY: Final = ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0)

CRDS: Final = (
    Crd(
        "karpenter.sh",
        "NodePool",
        "nodepools",
        NodePoolManifest,
        (
            ("NodeClass", "string", ".spec.template.spec.nodeClassRef.name", 0),
            ("Nodes", "string", ".status.nodes", 0),
            _READY,
            _AGE,
            ("Weight", "integer", ".spec.weight", 1),
            ("CPU", "string", ".status.resources.cpu", 1),
            ("Memory", "string", ".status.resources.memory", 1),
        ),
        scale=True,
    ),
    Crd(
        "karpenter.sh",
        "NodeClaim",
        "nodeclaims",
        NodeClaimManifest,
        (
            ("Type", "string", r".metadata.labels.node\.kubernetes\.io/instance-type", 0),
            ("Capacity", "string", r".metadata.labels.karpenter\.sh/capacity-type", 0),
            ("Zone", "string", r".metadata.labels.topology\.kubernetes\.io/zone", 0),
            ("Node", "string", ".status.nodeName", 0),
            ("Ready", "string", '.status.conditions[?(@.type=="Initialized")].status', 0),
            _AGE,
            ("ImageID", "string", ".status.imageID", 1),
            ("ID", "string", ".status.providerID", 1),
            ("NodePool", "string", r".metadata.labels.karpenter\.sh/nodepool", 1),
            ("NodeClass", "string", ".spec.nodeClassRef.name", 1),
            ("Drifted", "string", '.status.conditions[?(@.type=="Drifted")].status', 1),
        ),
    ),
    Crd(
        "karpenter.k8s.aws",
        "EC2NodeClass",
        "ec2nodeclasses",
        EC2NodeClassManifest,
        (_READY, _AGE, ("Role", "string", ".spec.role", 1)),
        short_names=("ec2nc", "ec2ncs"),
    ),
    Crd(
        "karpenter.sh",
        "NodeOverlay",
        "nodeoverlays",
        NodeOverlayManifest,
        (_READY, _AGE, ("Weight", "integer", ".spec.weight", 0)),
        short_names=("overlays",),
        version="v1alpha1",
    ),
)


def crd(spec: Crd) -> Schema:
    """The CustomResourceDefinition."""
    root = object_schema(spec.model)
    root["properties"]["metadata"] = {"type": "object"}
    for name in ("apiVersion", "kind"):
        root["properties"][name] = {"type": "string"}
    root["required"] = ["spec"]
    # The status is the daemon's to write; a default full of nulls is not one.
    root["properties"]["status"].pop("default", None)
    subresources: Schema = {"status": {}}
    if spec.scale:
        subresources["scale"] = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.nodes"}
    columns = [
        {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
        for name, kind, path, priority in spec.columns
    ]
    version = {
        "name": spec.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": subresources,
        "additionalPrinterColumns": columns,
    }
    names: Schema = {
        "kind": spec.kind,
        "listKind": f"{spec.kind}List",
        "plural": spec.plural,
        "singular": spec.kind.lower(),
        "categories": ["karpenter"],
    }
    if spec.short_names:
        names["shortNames"] = list(spec.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{spec.plural}.{spec.group}",
            "labels": {"app.kubernetes.io/managed-by": "joinery"},
        },
        "spec": {"group": spec.group, "names": names, "scope": "Cluster", "versions": [version]},
    }


def object_schema(model: type[Written]) -> Schema:
    """A model's structural schema."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(whole, whole.get("$defs", {}))


def _structural(schema: Schema, definitions: Schema) -> Schema:
    """A schema without references and unions, and without what pydantic says and a structural schema may not."""
    schema = _unfolded(schema, definitions)
    if "patternProperties" in schema:
        # Keys are checked by a rule; a structural schema knows only the values of a map.
        schema["additionalProperties"] = next(iter(schema["patternProperties"].values()))
    if "const" in schema:
        schema |= {"type": "string", "enum": [schema["const"]]}
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if (default := schema.get("default")) is False or default in (None, [], {}, ""):
        schema.pop("default", None)
    for name in _UNSAID:
        schema.pop(name, None)
    if not isinstance(schema.get("additionalProperties", True), dict):
        schema.pop("additionalProperties", None)
    else:
        _replace(schema, "additionalProperties", definitions)
    _replace(schema, "items", definitions)
    if "properties" in schema:
        schema["properties"] = {k: _structural(v, definitions) for k, v in schema["properties"].items()}
    return schema


_UNSAID: Final = ("$defs", "title", "propertyNames", "patternProperties", "const")


def _replace(schema: Schema, name: str, definitions: Schema) -> None:
    if name in schema:
        schema[name] = _structural(schema[name], definitions)


def _unfolded(schema: Schema, definitions: Schema) -> Schema:
    """References followed, and of ``X or null`` only X; what is said beside them counts more."""
    while True:
        rest = dict(schema)
        if "$ref" in rest:
            inner = definitions[rest.pop("$ref").rpartition("/")[2]]
        elif len(rest.get("allOf", ())) == 1:
            (inner,) = rest.pop("allOf")
        elif len(options := [o for o in rest.get("anyOf", ()) if o.get("type") != "null"]) == 1:
            rest.pop("anyOf")
            (inner,) = options
        else:
            return rest
        schema = {**inner, **rest}
