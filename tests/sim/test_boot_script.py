"""What the sandbox's machines read from user data, of every kind that Joinery renders and of fixed machines."""

import pytest

from agent.join.errors import FactsUnavailable
from agent.model.kubernetes import Taint
from agent.sim.embedded import Listed
from agent.sim.machines.hardware import capacity_of, node_manifest
from agent.sim.machines.script import read_script
from agent.sim.team import FIXED_TOKEN, fixed_machines, user_data
from tests.join.classes import FACTS, variants

UNREGISTERED = Taint("karpenter.sh/unregistered", "NoExecute")


def machine(text: str, **more: str) -> Listed:
    facts = {"id": "i-0123456789abcdef0", "state": "running", "type": "t3.medium", "zone": "ap-northeast-2a"}
    network = {"private_ip": "10.42.0.4", "private_dns": "ip-10-42-0-4.ap-northeast-2.compute.internal"}
    return Listed(**(facts | network | more), user_data=text, launch_time="2026-11-25T12:00:00Z", tags={})


@pytest.mark.parametrize("name", ["ubuntu.sh", "ubuntu-kubelet.sh", "ubuntu-user-script.sh", "ubuntu-user-jinja.sh"])
def test_a_rendered_script_makes_an_unregistered_node_named_after_its_instance(name: str) -> None:
    found = read_script(machine(variants()[name]))
    assert found.facts == FACTS
    assert found.node_name == "i-0123456789abcdef0"
    assert found.provider_id == "aws:///ap-northeast-2a/i-0123456789abcdef0"
    assert found.taints == (UNREGISTERED,)
    assert found.before_token[:2] == ("identity", "system")


def test_a_script_of_a_users_own_is_run_once_and_the_plain_one_until_it_joins() -> None:
    assert not read_script(machine(variants()["ubuntu-user-script.sh"])).patient
    plain = read_script(machine(variants()["ubuntu.sh"]))
    assert plain.patient
    assert plain.before_token[-2:] == ("packages", "containerd")


def test_with_the_setting_private_dns_the_node_is_named_so() -> None:
    assert read_script(machine(variants()["ubuntu-private-dns.sh"])).node_name.startswith("ip-10-42-0-4.")


def test_user_data_without_join_facts_says_so() -> None:
    with pytest.raises(FactsUnavailable, match="has no lines"):
        read_script(machine(variants()["custom.yaml"]))


def test_the_flags_of_the_prelude_win_over_those_of_a_users_script() -> None:
    text = variants()["ubuntu-user-script.sh"].replace(
        "apt-get update\n", "echo KUBELET_EXTRA_ARGS=--register-with-taints=own=x:NoSchedule\n", 1
    )
    assert read_script(machine(text)).taints == (UNREGISTERED,)


def test_a_fixed_machine_has_the_name_labels_and_taints_of_its_team() -> None:
    machines = {m.name: m for m in fixed_machines()}
    assert len(machines) == 18
    auth = read_script(machine(user_data(machines["auth"], FACTS), type="t3.small"))
    assert (auth.node_name, auth.taints) == ("auth", (Taint("domain", "NoSchedule", "auth"),))
    assert auth.facts.token_parameter == FIXED_TOKEN
    assert auth.labels["node.kubernetes.io/instance-type"] == "t3.small"
    assert read_script(machine(user_data(machines["worker-ai"], FACTS))).taints == ()
    control = read_script(machine(user_data(machines["control-plane"], FACTS)))
    assert control.taints == (Taint("node-role.kubernetes.io/control-plane", "NoSchedule"),)


def test_a_node_has_what_its_type_has_less_what_the_kernel_keeps() -> None:
    capacity = capacity_of("t3.xlarge")
    assert (capacity.cpu_milli, capacity.pods) == (4000, 110)
    assert 15 * 2**30 < capacity.memory_bytes < 16 * 2**30
    assert dict(capacity_of("g4dn.xlarge").extended) == {"nvidia.com/gpu": 1}
    node = node_manifest(machine(variants()["ubuntu.sh"]), read_script(machine(variants()["ubuntu.sh"])))
    labels = node["metadata"]["labels"]  # type: ignore[index]  # a manifest is any JSON
    assert labels == {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": "i-0123456789abcdef0",
    }
