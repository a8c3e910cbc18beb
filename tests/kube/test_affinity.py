"""What a pod asks of the pods around it, of its node and of its ports, read into the words of the engine."""

from __future__ import annotations

import pytest

from agent.model.constraints import HostPort, PodAffinityTerm, PreferredTerm, Requirement, TopologySpread
from tests.kube.apihttp import Json
from tests.kube.test_pods import REQUIRED, UNKNOWN, pod

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
WEB = {"matchLabels": {"app": "web"}}
IS_WEB = (Requirement("app", "In", ("web",)),)


def affinity(kind: str, *terms: Json, labels: dict[str, str] | None = None) -> tuple[PodAffinityTerm, ...]:
    read = pod({"affinity": {kind: {REQUIRED: list(terms)}}}, labels=labels or {})
    assert read.unsupported == ()
    return read.affinity if kind == "podAffinity" else read.anti_affinity


@pytest.mark.parametrize("kind", ["podAffinity", "podAntiAffinity"])
def test_a_term_that_names_no_namespace_looks_in_the_pods_own(kind: str) -> None:
    (term,) = affinity(kind, {"topologyKey": HOST, "labelSelector": WEB})
    assert term == PodAffinityTerm(HOST, IS_WEB, ("shop",))


def test_a_term_looks_in_the_namespaces_that_it_names_and_selects() -> None:
    named, chosen, both, every = affinity(
        "podAffinity",
        {"topologyKey": HOST, "labelSelector": WEB, "namespaces": ["b", "a", "b"]},
        {"topologyKey": HOST, "labelSelector": WEB, "namespaceSelector": {"matchLabels": {"team": "x"}}},
        {"topologyKey": HOST, "labelSelector": WEB, "namespaceSelector": {}, "namespaces": ["a"]},
        {"topologyKey": HOST, "labelSelector": WEB, "namespaceSelector": {}},
    )
    assert (named.namespaces, named.namespace_selector) == (("a", "b"), None)
    assert (chosen.namespaces, chosen.namespace_selector) == ((), (Requirement("team", "In", ("x",)),))
    assert (both.namespaces, both.namespace_selector) == (("a",), ())
    assert (every.namespaces, every.namespace_selector) == ((), ())


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    none, every = affinity("podAntiAffinity", {"topologyKey": ZONE}, {"topologyKey": ZONE, "labelSelector": {}})
    assert none.selector is None
    assert every.selector == ()


def test_label_keys_are_merged_into_the_selector_as_the_api_server_does() -> None:
    term = {
        "topologyKey": ZONE,
        "labelSelector": WEB,
        "matchLabelKeys": ["pod-template-hash", "missing"],
        "mismatchLabelKeys": ["tenant"],
    }
    (read,) = affinity("podAffinity", term, labels={"pod-template-hash": "7f", "tenant": "x"})
    assert read.selector == (
        *IS_WEB,
        Requirement("pod-template-hash", "In", ("7f",)),
        Requirement("tenant", "NotIn", ("x",)),
    )


def test_label_keys_that_the_api_server_merged_already_are_not_merged_twice() -> None:
    merged = {"matchExpressions": [{"key": "hash", "operator": "In", "values": ["7f"]}]}
    (read,) = affinity(
        "podAffinity",
        {"topologyKey": ZONE, "labelSelector": merged, "matchLabelKeys": ["hash"]},
        labels={"hash": "7f"},
    )
    assert read.selector == (Requirement("hash", "In", ("7f",)),)


def test_preferred_terms_keep_their_weights() -> None:
    term = {"topologyKey": HOST, "labelSelector": WEB}
    read = pod(
        {
            "affinity": {
                "podAffinity": {PREFERRED: [{"weight": 7, "podAffinityTerm": term}]},
                "podAntiAffinity": {PREFERRED: [{"weight": 9, "podAffinityTerm": term}, {"weight": 1}]},
                "nodeAffinity": {
                    PREFERRED: [
                        {"weight": 5, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}},
                        {"weight": 6, "preference": {}},
                    ]
                },
            }
        }
    )
    assert read.preferred_affinity == (PodAffinityTerm(HOST, IS_WEB, ("shop",), weight=7),)
    assert read.preferred_anti_affinity == (PodAffinityTerm(HOST, IS_WEB, ("shop",), weight=9),)
    assert read.preferred_terms == (PreferredTerm(5, (Requirement("disk", "Exists"),)),)
    assert read.unsupported == ()


def test_a_preference_that_is_not_understood_is_left_out() -> None:
    node = {"matchExpressions": [{"key": "a", "operator": "Near"}]}
    read = pod(
        {
            "affinity": {
                "podAffinity": {PREFERRED: [{"weight": 7, "podAffinityTerm": UNKNOWN}]},
                "nodeAffinity": {PREFERRED: [{"weight": 7, "preference": node}]},
            },
            "topologySpreadConstraints": [UNKNOWN | {"whenUnsatisfiable": "ScheduleAnyway"}],
        }
    )
    assert (read.preferred_affinity, read.preferred_terms, read.spread, read.unsupported) == ((), (), (), ())


def spread(**fields: object) -> TopologySpread:
    whole = {"topologyKey": ZONE, "maxSkew": 2, "labelSelector": WEB} | fields
    (read,) = pod({"topologySpreadConstraints": [whole]}, labels={"hash": "7f"}).spread
    return read


def test_a_spread_constraint_has_kubernetes_defaults() -> None:
    assert spread() == TopologySpread(ZONE, 2, IS_WEB, hard=True, honor_affinity=True, honor_taints=False)


def test_a_spread_constraint_is_read_whole() -> None:
    read = spread(
        whenUnsatisfiable="ScheduleAnyway",
        minDomains=3,
        matchLabelKeys=["hash", "missing"],
        nodeAffinityPolicy="Ignore",
        nodeTaintsPolicy="Honor",
    )
    selector = (*IS_WEB, Requirement("hash", "In", ("7f",)))
    assert read == TopologySpread(ZONE, 2, selector, False, 3, honor_affinity=False, honor_taints=True)


def test_when_unsatisfiable_is_strict_unless_it_says_otherwise() -> None:
    assert spread(whenUnsatisfiable="Somehow").hard
    assert not spread(whenUnsatisfiable="ScheduleAnyway").hard


def test_host_ports_are_those_of_all_that_runs_together() -> None:
    read = pod(
        {
            "containers": [
                {"ports": [{"hostPort": 80, "containerPort": 8080}, {"containerPort": 9090}]},
                {"ports": [{"hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"}, {"hostPort": 80}]},
            ],
            "initContainers": [
                {"ports": [{"hostPort": 1000}]},
                {"ports": [{"hostPort": 81, "hostIP": "0.0.0.0"}], "restartPolicy": "Always"},
            ],
        }
    )
    assert read.host_ports == (HostPort(53, "UDP", "10.0.0.1"), HostPort(80), HostPort(81))


def test_with_the_hosts_network_every_container_port_is_a_host_port() -> None:
    spec: Json = {"hostNetwork": True, "containers": [{"ports": [{"containerPort": 9100}, {"name": "x"}]}]}
    assert pod(spec).host_ports == (HostPort(9100),)
    assert pod(spec | {"hostNetwork": False}).host_ports == ()


@pytest.mark.parametrize("operator", ["In", "NotIn"])
def test_the_field_of_the_nodes_name_is_its_host_name(operator: str) -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": operator, "values": ["i-1"]}]}
    read = pod({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}})
    assert [(r.key, r.operator, r.values) for (r,) in read.affinity_terms] == [(HOST, operator, ("i-1",))]
    assert read.unsupported == ()


def test_a_pod_behind_a_scheduling_gate_waits_for_no_node() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    assert pod({}, {"conditions": conditions}).unschedulable
    assert not pod({"schedulingGates": [{"name": "quota"}]}, {"conditions": conditions}).unschedulable
