"""How a machine of the sandbox becomes a node: by what its user data says, and by nothing else."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.join.tokens import bootstrap_rbac
from agent.join.userdata import render
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.sim.apiserver import ApiServer
from agent.sim.machines.world import Pace
from tests.cluster.processes import wait_until
from tests.join.classes import USER_SCRIPT, node_class
from tests.sim.rig import PARAMETER, QUICK, Manifest, Rig, ready
from tests.sim.server import ZONE_A, World


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubeApi]:
    with ApiServer(tmp_path) as server:
        kubeconfig = server.write_kubeconfig(tmp_path / "admin.conf")
        with KubeApi.from_kubeconfig(str(kubeconfig)) as admin:
            for binding in bindings():
                admin.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
            yield admin


def bindings() -> Iterator[dict[str, object]]:
    """What `joinery install` gives the bearers of its tokens."""

    yield from (o for o in bootstrap_rbac() if o["kind"] == "ClusterRoleBinding")


@pytest.fixture
def rig(world: World, api: KubeApi, tmp_path: Path) -> Iterator[Rig]:
    yield from rigged(world, api, tmp_path, QUICK)


@pytest.fixture
def hasty(world: World, api: KubeApi, tmp_path: Path) -> Iterator[Rig]:
    """Machines that give up at once."""
    yield from rigged(world, api, tmp_path, msgspec.structs.replace(QUICK, token_wait=0.0, join_wait=0.0))


def rigged(world: World, api: KubeApi, folder: Path, pace: Pace) -> Iterator[Rig]:
    made = Rig(world, api, folder / "machines", pace)
    made.cache.start()
    wait_until("a view", made.cache.synced)
    yield made
    for machine in made.room.machines.values():
        machine.off()
    made.cache.stop()


def test_a_machine_joins_as_its_script_would_have_it(rig: Rig) -> None:
    token = rig.token()
    name = rig.launch()
    rig.until("a request", rig.requests)
    [request] = rig.requests()
    assert request["spec"]["username"] == f"system:bootstrap:{token.id}"
    rig.until("some turns more", lambda: "phase=join" in rig.console())
    assert rig.nodes() == [], "nobody has approved it yet"
    rig.decide("Approved")
    rig.until("a ready node", lambda: any(ready(n) for n in rig.nodes()))
    [node] = rig.nodes()
    assert node["metadata"]["name"] == name
    assert node["spec"]["providerID"] == f"aws:///{ZONE_A}/{name}"
    assert node["spec"]["taints"] == [{"key": "karpenter.sh/unregistered", "effect": "NoExecute"}]
    assert node["status"]["capacity"]["cpu"] == "2"
    rig.until("the last phase", lambda: "phase=joined" in rig.console())
    phases = [line.partition("=")[2] for line in rig.console().splitlines() if "phase=" in line]
    assert phases == ["begin", "identity", "system", "source", "packages", "containerd", "token", "join", "joined"]
    output = rig.aws.session.client("ec2").get_console_output(InstanceId=name)["Output"]
    assert output.endswith("joinery: phase=joined\n"), "EC2 shows the console"


def test_it_writes_as_itself_and_keeps_its_key_to_itself(rig: Rig) -> None:
    name = rig.join()
    rig.until("the end of the boot", lambda: rig.machine().joined)
    kubeconfig = rig.folder / name / "kubelet.conf"
    assert kubeconfig.stat().st_mode & 0o077 == 0
    assert not (rig.folder / name / "bootstrap-kubelet.conf").exists(), "the token is not kept"
    with KubeApi.from_kubeconfig(str(kubeconfig)) as itself:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = msgspec.json.decode(itself.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review))
    assert answer["status"]["userInfo"]["username"] == f"system:node:{name}"
    assert "system:nodes" in answer["status"]["userInfo"]["groups"]


def test_a_token_that_the_cluster_does_not_know_keeps_it_out(rig: Rig) -> None:
    rig.token(known=False)
    rig.launch()
    rig.until("a try and another", lambda: rig.console().count("phase=join") > 1)
    assert "is tried again" in rig.console()
    assert (rig.nodes(), rig.requests()) == ([], [])


def test_a_token_that_has_expired_keeps_it_out(rig: Rig) -> None:
    rig.token(lives=timedelta(seconds=-1))
    rig.launch()
    rig.until("a try and another", lambda: rig.console().count("phase=join") > 1)
    assert (rig.nodes(), rig.requests()) == ([], [])


def test_without_a_token_it_waits_and_takes_the_one_that_comes(rig: Rig) -> None:
    rig.launch()
    rig.until("it waits", lambda: f"waiting for {PARAMETER}: HTTP 400 ParameterNotFound" in rig.console())
    rig.publish("this is no token")
    rig.until("it waits on", lambda: "not a bootstrap token" in rig.console())
    assert (rig.nodes(), rig.requests()) == ([], [])
    rig.token()
    rig.until("a request", rig.requests)


def test_a_rotated_token_is_read_for_the_next_try(rig: Rig) -> None:
    rig.token(known=False)
    rig.launch()
    rig.until("a try", lambda: "is tried again" in rig.console())
    rig.token()
    rig.until("a request", rig.requests)


def test_a_machine_whose_time_is_over_powers_itself_off(hasty: Rig) -> None:
    name = hasty.launch()
    hasty.until("its end", lambda: hasty.listed().state == "terminated")
    hasty.until("it is gone", lambda: not hasty.room.machines)
    assert hasty.nodes() == []
    said = hasty.aws.session.client("ec2").get_console_output(InstanceId=name)["Output"]
    assert "phase=failed at=token status=1 reason=no bootstrap token" in said


def test_a_ca_that_is_not_pinned_keeps_it_out_before_the_token_is_shown(rig: Rig) -> None:
    rig.token()
    rig.launch(render(node_class(), rig.facts(ca_cert_hashes=("sha256:" + "0" * 64,))))
    rig.until("a try and another", lambda: rig.console().count("phase=join") > 1)
    assert "matches none of the pinned public keys" in rig.console()
    assert (rig.nodes(), rig.requests()) == ([], [])


def test_a_denied_request_keeps_it_out_and_no_second_one_is_made(rig: Rig) -> None:
    rig.token()
    rig.launch()
    rig.until("a request", rig.requests)
    rig.decide("Denied")
    rig.until("a try and another", lambda: rig.console().count("certificate request denied") > 1)
    assert rig.nodes() == []
    assert len(rig.requests()) == 1


def test_a_script_of_a_users_own_is_not_tried_twice(rig: Rig) -> None:
    rig.token(known=False)
    rig.launch(render(node_class(userData=USER_SCRIPT), rig.facts()))
    rig.until("its end", lambda: rig.listed().state in {"shutting-down", "terminated"})
    assert (rig.nodes(), rig.requests()) == ([], [])


def test_user_data_without_join_facts_makes_no_node(rig: Rig) -> None:
    rig.token()
    name = rig.launch("#!/bin/sh\ntrue\n")
    rig.until("its end", lambda: rig.listed().state in {"shutting-down", "terminated"})
    said = rig.aws.session.client("ec2").get_console_output(InstanceId=name)["Output"]
    assert "phase=failed at=begin" in said
    assert rig.nodes() == []


def test_an_api_server_that_does_not_answer_is_tried_again(rig: Rig) -> None:
    rig.token()
    rig.launch(render(node_class(), rig.facts(endpoint="127.0.0.1:1")))
    rig.until("a try and another", lambda: rig.console().count("does not answer") > 1)


def test_parameter_store_that_breaks_off_is_asked_again(rig: Rig) -> None:
    rig.token()
    rig.aws.server.fault("GetParameter", moment="cut", times=2)
    rig.launch()
    rig.until("a request", rig.requests)
    assert "Parameter Store does not answer" in rig.console()


def bound_pod(name: str, node: str) -> Manifest:
    container = {"name": "main", "image": "registry.example/x"}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 30}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_pods_that_are_bound_to_it_run_and_end_when_they_are_deleted(rig: Rig) -> None:
    name = rig.join()
    rig.api.create(paths.pods("default"), bound_pod("mine", name))
    rig.api.create(paths.pods("default"), bound_pod("others", "elsewhere"))
    pods = {"mine": "Running", "others": "Pending"}
    rig.until("a running pod", lambda: phases(rig) == pods)
    [status] = [p["status"] for p in items(rig.api, paths.pods()) if p["metadata"]["name"] == "mine"]
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert status["containerStatuses"][0]["state"]["running"]["startedAt"]
    rig.api.delete(paths.pods("default", "mine"))
    rig.until("its end", lambda: phases(rig) == {"others": "Pending"})


def phases(rig: Rig) -> dict[str, str]:
    return {p["metadata"]["name"]: p["status"]["phase"] for p in items(rig.api, paths.pods())}


def test_it_renews_its_lease_and_takes_back_that_it_is_silent(rig: Rig) -> None:
    name = rig.join()
    rig.until("a lease", lambda: items(rig.api, paths.leases("kube-node-lease")))
    [lease] = items(rig.api, paths.leases("kube-node-lease"))
    assert lease["spec"]["holderIdentity"] == name
    unknown = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    rig.api.merge_patch(paths.status(paths.nodes(name)), unknown)
    rig.until("it speaks up", lambda: all(ready(n) for n in rig.nodes()))


def test_it_dies_with_its_instance(rig: Rig) -> None:
    name = rig.join()
    rig.steering.by_hand("terminate", name)
    rig.until("it is off", lambda: not rig.room.machines)
    rig.api.create(paths.pods("default"), bound_pod("late", name))
    wait_until("the pod is seen", lambda: bool(rig.cache.items("pods")))
    for _ in range(5):
        rig.room.turn()
    assert phases(rig) == {"late": "Pending"}, "nobody runs it"
