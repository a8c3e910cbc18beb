import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.report.plans import (
    T0,
    catalogue,
    claim,
    condition,
    examples,
    node,
    planned,
    pod,
    pool,
    run,
    running,
    world,
)

WORKERS = examples("worker-scalable.yaml", "five-scan-workers.yaml")


def launches(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [a for a in body["actions"] if a["action"] == "launch"]


def faults(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not line.startswith("note: ")]


# The examples do what their comments say.


def test_five_scan_workers_get_the_cheapest_nodes_of_the_tainted_pool() -> None:
    body = planned(WORKERS)
    assert sorted(body["placements"]) == [f"default/scan-worker-{n}" for n in range(5)]
    assert {a["nodePool"] for a in launches(body)} == {"worker-scalable"}
    assert {a["instanceType"] for a in launches(body)} <= {"t3.medium", "t3.large", "t3.xlarge"}
    assert all(a["taints"] == [{"key": "workload", "value": "ai", "effect": "NoSchedule"}] for a in launches(body))
    assert body["pricePerHour"] == {"before": 0.0, "after": 0.208, "lowerBound": 0.208}


def test_web_servers_without_tolerations_are_refused_by_the_tainted_pool_for_its_taint() -> None:
    body = planned(examples("worker-scalable.yaml", "nginx-to-scaleout.yaml"))
    assert launches(body) == []
    assert len(body["unschedulable"]) == 15
    reasons = body["unschedulable"][0]["reasons"]
    assert [r["nodePool"] for r in reasons] == ["worker-scalable"]
    assert "workload=ai:NoSchedule" in reasons[0]["message"]


def test_the_same_web_servers_are_taken_by_the_small_arm64_pool() -> None:
    body = planned(examples("worker-scalable.yaml", "side-project-spot.yaml", "nginx-to-scaleout.yaml"))
    assert len(body["placements"]) == 15
    assert body["unschedulable"] == []
    assert {a["nodePool"] for a in launches(body)} == {"spot"}
    assert all(a["instanceType"].startswith("t4g.") for a in launches(body))
    assert {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"], "minValues": None} in launches(body)[0][
        "requirements"
    ]


def test_a_pool_alone_has_nothing_to_do() -> None:
    done = run(*examples("business-hours-budgets.yaml"), "--detailed-exitcode")
    assert done.exit_code == 0
    assert done.stdout.startswith("Plan: 0 to launch, 0 to disrupt")


@pytest.mark.parametrize(("at", "goes"), [("2026-11-20T10:00:00Z", 0), ("2026-11-21T02:00:00Z", 1)])
def test_budgets_hold_empty_nodes_on_working_days(tmp_path: Path, at: str, goes: int) -> None:
    owned = claim("a", "aws:///eu-west-1a/i-1")
    owned["metadata"]["labels"]["karpenter.sh/nodepool"] = "business-hours"
    arguments = [
        *world(tmp_path, owned, node("i-1", "aws:///eu-west-1a/i-1")),
        *examples("business-hours-budgets.yaml"),
    ]
    body = planned([*arguments, "--now", at])
    assert len([a for a in body["actions"] if a["action"] == "disrupt"]) == goes
    assert [b["blocker"] for b in body["blocked"]] == ["NodePool business-hours"] * (1 - goes)


def test_the_pool_as_posted_has_one_fault_with_a_suggestion() -> None:
    done = run(*examples("side-project-as-posted.yaml"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(faults(done.stderr)) == 1
    assert faults(done.stderr)[0].endswith(
        "NodePool/side-project: spec.limit: unknown field (did you mean spec.limits?)"
    )


def test_five_faults_of_a_pool_are_five_lines_although_another_file_is_sound() -> None:
    done = run(*examples("broken-nodepool.yaml"), *WORKERS)
    assert (done.exit_code, done.stdout) == (1, "")
    paths = [line.split(": ")[2] for line in faults(done.stderr)]
    assert paths == [
        "spec.disruption.budgets[0]",
        "spec.limit",
        "spec.template.spec.expireAfter",
        "spec.template.spec.requirements[0].operator",
        "spec.weight",
    ]


# Time, determinism, exit codes, settings.


def test_the_same_files_and_time_give_the_same_bytes() -> None:
    again = [run(*WORKERS, "-o", "json", "--now", T0).stdout for _ in range(2)]
    assert again[0] == again[1]
    command = [sys.executable, "-m", "agent", "plan", *WORKERS, "-o", "json", "--now", T0]
    for seed in ("1", "2"):
        done = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        assert done.stdout.decode() == again[0]


def test_without_a_time_the_newest_of_the_files_is_now(tmp_path: Path) -> None:
    future = {"annotations": {"example.com/expires": "2036-01-01T00:00:00Z"}}
    older = node("i-1", None)
    arguments = world(tmp_path, pool(), older, claim("a", None, creationTimestamp="2026-11-20T12:00:07Z", **future))
    assert planned(arguments)["now"] == "2026-11-20T12:00:07Z"
    assert planned(arguments, "--now", "2026-12-01T09:30:00+09:00")["now"] == "2026-12-01T00:30:00Z"


def test_without_any_time_the_clock_is_now() -> None:
    bodies = [planned(WORKERS), planned(WORKERS, "--now", T0)]
    assert {k: v for k, v in bodies[0].items() if k != "now"} == {k: v for k, v in bodies[1].items() if k != "now"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(WORKERS, 2), ([*WORKERS, "--what", "disrupt"], 0), (examples("broken-nodepool.yaml"), 1)],
)
def test_the_detailed_exit_code_tells_nothing_something_and_error(arguments: list[str], code: int) -> None:
    assert run(*arguments, "--detailed-exitcode").exit_code == code
    assert run(*arguments).exit_code == (code if code == 1 else 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "nonsense=1"], "--set: nonsense: unknown field"),
        (["--set", "maxNode=1"], "did you mean maxNodes?"),
        (["--set", "preferencePolicy=Perhaps"], "unknown preferencePolicy"),
        (["--set", "maxNodes"], "must be KEY=VALUE"),
        (["--now", "yesterday"], '"yesterday" is not a time'),
        (["--now", "2026-11-20T12:00:00"], "is not a time"),
        (["--what", "nothing"], "--what"),
        (["-o", "xml"], "-o"),
    ],
)
def test_wrong_usage_ends_with_64_and_says_what(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "plan", *WORKERS, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_brakes_of_the_settings_hold_launches_back_and_are_named() -> None:
    done = run(*WORKERS, "--set", "maxNodes=1")
    assert "Plan: 1 to launch" in done.stdout
    assert "maxNodes" in done.stdout
    assert "note: maxNodes, a brake of the daemon, holds launches back" in done.stderr


def test_without_being_set_the_daemons_brakes_hold_nothing_back_and_are_told(tmp_path: Path) -> None:
    arguments = world(tmp_path, pool(), *(pod(f"p{n}") for n in range(150)))
    done = run(*arguments)
    assert "Plan: 150 to launch" in done.stdout
    assert "launchesPerMinute), so this plan takes it 8 minutes" in done.stderr
    assert "stops at 100 nodes of its own (maxNodes), and this plan comes to 150" in done.stderr
    assert "Plan: 100 to launch" in run(*arguments, "--set", "maxNodes=100").stdout


# What is said beside the plan.


def test_shipped_prices_say_whose_they_are_and_a_catalogue_says_nothing(tmp_path: Path) -> None:
    said = run(*WORKERS).stderr
    assert "prices of us-east-1 stand in for ap-northeast-2" in said
    assert "2026-07; not exact" in said
    assert "exact for on-demand" in run(*examples("business-hours-budgets.yaml")).stderr
    assert run(*world(tmp_path, pool(), pod("a"))).stderr == ""


def test_disruption_of_this_version_is_told_once_and_only_when_it_is_asked_for(tmp_path: Path) -> None:
    wanted = {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "0s"}
    arguments = world(tmp_path, pool("a", disruption=wanted), pool("b", disruption=wanted))
    said = run(*arguments).stderr
    assert said.count("empty nodes") == 1
    assert "NodePool a, b asks for more" in said
    assert "empty nodes" not in run(*arguments, "--what", "provision").stderr


def test_workloads_without_pods_and_unknown_kinds_are_noted(tmp_path: Path) -> None:
    meta = {"name": "db"}
    stateful = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": {"replicas": 2}}
    maps = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": n}} for n in ("a", "b")]
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
    done = run(*world(tmp_path, pool(), stateful, *maps, named))
    assert done.exit_code == 0
    lines = [line.rpartition("objects.json: ")[2] for line in done.stderr.splitlines()]
    assert lines == [
        "StatefulSet/db: adds no pods: of workloads without their pods only Deployments are expanded",
        "ConfigMap: 2 objects ignored: a plan does not read this kind",
    ]


def test_a_volume_names_the_zone_of_the_cluster_as_nodes_do(tmp_path: Path) -> None:
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["ap-northeast-2c"]}
    there = {"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pv"},
        "spec": {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}, "nodeAffinity": there},
    }
    bound = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"volumeName": "pv"},
    }
    db = pod("db", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])
    files = world(tmp_path, pool(), volume, bound, db)[:2]
    (bought,) = launches(planned(files))
    assert bought["zone"] == "ap-northeast-2c"
    note = "note: pools that name no zone are planned in those that are named elsewhere: ap-northeast-2c"
    assert note in run(*files).stderr.splitlines()


def test_an_empty_catalogue_is_not_told_as_a_missing_class(tmp_path: Path) -> None:
    empty = catalogue() | {"instanceTypes": []}
    (refused,) = planned(world(tmp_path, pool(), pod("a"), types=empty))["unschedulable"]
    assert [r["message"] for r in refused["reasons"]] == [
        "NodePool default has no instance type to choose from: none is offered in the zones of its EC2NodeClass"
    ]


@pytest.mark.parametrize(
    ("version", "kind", "why"),
    [
        ("v1", "pod", "there is no such kind (did you mean Pod?)"),
        ("v1", "Pods", "there is no such kind (did you mean Pod?)"),
        ("apps/v1", "Deploymnet", "there is no such kind (did you mean Deployment?)"),
        ("v1", "Deployment", "Deployment belongs to apps/v1, not to v1"),
        ("extensions/v1beta1", "Deployment", "Deployment belongs to apps/v1, not to extensions/v1beta1"),
        ("apps/v1", "Pod", "Pod belongs to v1, not to apps/v1"),
        ("batch/v1", "CronJob", "a plan does not read this kind"),
        ("longhorn.io/v1beta2", "Node", "a plan does not read this kind"),
    ],
)
def test_a_kind_that_is_only_misspelt_or_in_the_wrong_group_is_told_as_such(version: str, kind: str, why: str) -> None:
    done = run("-f", "-", stdin=f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (0, f"note: -: {kind}: 1 object ignored: {why}")


def test_a_field_that_is_nearly_one_of_kubernetes_is_told_once_for_all_pods_that_have_it() -> None:
    term: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecuton": {}}
    slipped = [pod(name, nodeSelecter={"a": "b"}, affinity={"nodeAffinity": term}) for name in ("a", "b", "c")]
    template = {"spec": {"containers": [{"name": "c", "resources": {"request": {"cpu": "1"}}, "imge": "x"}]}}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    objects = [*slipped, made | {"spec": {"replica": 2, "template": template}}]
    done = run("-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))
    terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuring"
    resources = "spec.template.spec.containers[].resources.request"
    assert done.exit_code == 0
    assert [line for line in done.stderr.splitlines() if "unknown field" in line] == [
        "note: -: Pod/a: spec.nodeSelecter: unknown field (did you mean spec.nodeSelector?); so in 2 more",
        f"note: -: Pod/a: {terms}Executon: unknown field (did you mean {terms}Execution?); so in 2 more",
        "note: -: Deployment/d: spec.replica: unknown field (did you mean spec.replicas?)",
        f"note: -: Deployment/d: {resources}: unknown field (did you mean {resources}s?)",
        (
            "note: -: Deployment/d: spec.template.spec.containers[].imge: unknown field "
            "(did you mean spec.template.spec.containers[].image?)"
        ),
    ]


def test_fields_of_kubernetes_and_fields_that_nobody_knows_are_not_told() -> None:
    known = pod("a", priorityClassName="high", volumes=[{"nam": "x"}], someNewThing={"a": "b"}, hostUsers=False)
    assert "unknown field" not in run("-f", "-", stdin=json.dumps(known)).stderr


def test_a_deployment_that_is_being_deleted_makes_no_pods() -> None:
    made: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "Deployment"}
    made["metadata"] = {"name": "d", "deletionTimestamp": T0}
    assert planned_text(json.dumps(made | {"spec": {"replicas": 2}})) == []
    del made["metadata"]["deletionTimestamp"]
    assert planned_text(json.dumps(made | {"spec": {"replicas": 2}})) == ["default/d-0", "default/d-1"]


def planned_text(text: str) -> list[str]:
    """The pods that are refused, all of them for want of a NodePool."""
    done = run("-f", "-", "-o", "json", stdin=text)
    return [refusal["pod"] for refusal in json.loads(done.stdout)["unschedulable"]]


def test_a_class_of_another_program_is_told(tmp_path: Path) -> None:
    other = pool()
    other["spec"]["template"]["spec"]["nodeClassRef"] = {"group": "a.example", "kind": "OtherClass", "name": "x"}
    assert (
        "NodePool/default: spec.template.spec.nodeClassRef: OtherClass of a.example is another program's; "
        "here it counts as EC2NodeClass x of karpenter.k8s.aws"
    ) in run(*world(tmp_path, other)).stderr


def test_kinds_of_karpenter_before_0_32_are_told_what_stands_in_their_place() -> None:
    done = run("-f", "-", stdin="apiVersion: karpenter.sh/v1alpha5\nkind: Provisioner\nmetadata: {name: a}")
    assert (done.exit_code, done.stderr) == (
        1,
        (
            '-: Provisioner/a: kind: unknown kind "Provisioner" '
            "(of Karpenter before 0.32; NodePool of karpenter.sh/v1 stands in its place)\n"
        ),
    )


def test_of_a_saved_snapshot_a_part_can_be_planned_again(tmp_path: Path) -> None:
    saved = str(tmp_path / "saved")
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    wanting = pod("p", nodeSelector={"karpenter.sh/capacity-type": "spot"})
    whole = planned(world(tmp_path, pool(), *there, wanting), "--save", saved)
    assert [a["action"] for a in whole["actions"]] == ["launch", "disrupt"]
    for what in ("provision", "disrupt"):
        part = planned(["--snapshot", saved], "--what", what)
        assert [a["action"] for a in part["actions"]] == [{"provision": "launch", "disrupt": "disrupt"}[what]]
    assert planned(["--snapshot", saved], "--what", "all") == whole


# Bad input is a line, never a traceback.


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "-: holds no object"),
        ("a: [\n", "-: YAML: line 2, column 1: did not find expected node content"),
        ("kind: Pod\napiVersion: v1\nmetadata: []", "-: Pod: metadata: must be a mapping of fields"),
        ("kind: Pod\napiVersion: v1\nmetadata: {}", "-: Pod: metadata.name: is required"),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {containers: [{resources: {requests: {cpu: x}}}]}",
            (
                "-: Pod/a: spec.containers[0].resources.requests.cpu: "
                "'x' is not a quantity: expected a number such as 2, 500m, 1.5 or 4Gi"
            ),
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {name: a, creationTimestamp: 2026-11-20T00:00:00}",
            "-: Pod/a: the time 2026-11-20T00:00:00 has no zone; write it as 2026-11-20T00:00:00Z",
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata: {name: a, creationTimestamp: '9999-12-31T23:59:59Z'}",
            "-: Pod/a: the time 9999-12-31T23:59:59+00:00 is later than any that can be counted with",
        ),
        (
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {replicas: 1000000000}",
            "-: Deployment/a: spec.replicas: must be 0..100000 for a plan",
        ),
        (
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a}\nspec: {template: {spec: {containers: 3}}}",
            "-: Deployment/a: spec.template.spec.containers: must be a list",
        ),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: {}", "-: Deployment: metadata.name: is required"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, line: str) -> None:
    done = run("-f", "-", stdin=text)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", line + "\n")


def test_a_broken_status_of_a_claim_is_a_fault_and_not_a_claim_less(tmp_path: Path) -> None:
    broken = claim("a", "aws:///eu-west-1a/i-1")
    broken["status"]["capacity"] = {"cpu": "much"}
    done = run(*world(tmp_path, pool(), broken))
    assert done.exit_code == 1
    assert "NodeClaim/a: status.capacity.cpu: 'much' is not a quantity" in done.stderr


def test_an_object_given_twice_is_a_fault(tmp_path: Path) -> None:
    done = run(*world(tmp_path, pod("a")), "-f", "-", stdin="kind: Pod\napiVersion: v1\nmetadata: {name: a}")
    assert done.exit_code == 1
    assert "-: Pod/a: pod default/a is given twice, first in " in done.stderr


def test_files_that_cannot_be_read_are_told_together(tmp_path: Path) -> None:
    done = run("-f", str(tmp_path), "-f", str(tmp_path / "none"), "--catalog", str(tmp_path / "neither"))
    assert done.exit_code == 1
    assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == [
        "is a directory",
        "no such file or directory",
        "no such file or directory",
    ]


def test_a_folder_stands_for_the_manifests_in_it(tmp_path: Path) -> None:
    for name, made in (("b.yaml", pod("b")), ("a.json", pod("a")), ("c.yml", pod("c")), ("d.txt", pod("d"))):
        (tmp_path / name).write_text(json.dumps(made))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "e.yaml").write_text(json.dumps(pod("e")))
    refused = planned(["-f", str(tmp_path)])["unschedulable"]
    assert [r["pod"] for r in refused] == ["default/a", "default/b", "default/c"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-f", "-", "-f", "-"], "standard input (-) can be read only once; write one of the two to a file"),
        (["-f", "-", "--catalog", "-"], "standard input (-) can be read only once; write one of the two to a file"),
        (["-f", ""], "the name of a file is empty"),
        (["-f", "-", "--catalog", ""], "the name of a file is empty"),
    ],
)
def test_files_that_no_reading_can_give_are_wrong_usage(arguments: list[str], line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "plan", *arguments], input="", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (64, f"Error: {line}")


@pytest.mark.parametrize(
    "text",
    [
        '{"apiVersion": "v1", "kind": "List", "items": []}',
        "apiVersion: v1\nitems: []\nkind: List\nmetadata: {resourceVersion: ''}\n",
        '{"apiVersion": "v1", "kind": "PodList", "items": null}',
    ],
)
def test_a_list_of_nothing_says_that_there_is_nothing(text: str) -> None:
    done = run("-f", "-", stdin=text)
    assert (done.exit_code, done.stdout.partition(",")[0]) == (0, "Plan: 0 to launch")


def test_every_fault_of_a_catalogue_is_a_line(tmp_path: Path) -> None:
    wrong = catalogue(capacity={"cpu": "two"}, offerings=[{"zone": "a", "capacityType": "spott", "price": -1}])
    wrong["instanceTypes"][0]["colour"] = "red"
    done = run(*world(tmp_path, pool(), types=wrong))
    assert done.exit_code == 1
    offering, meant = "instanceTypes[0].offerings[0]", 'unknown capacityType "spott" (did you mean spot?)'
    assert [line.partition("catalog.json: ")[2] for line in done.stderr.splitlines()] == [
        'InstanceTypeCatalog: instanceTypes[0].capacity.cpu: "two" is not a quantity',
        "InstanceTypeCatalog: instanceTypes[0].colour: unknown field",
        f"InstanceTypeCatalog: {offering}.capacityType: {meant}",
        f"InstanceTypeCatalog: {offering}.price: must be 0..1000000",
    ]


def test_a_reservation_of_a_catalogue_is_named_by_one_id_and_counted_only_when_it_is_named(tmp_path: Path) -> None:
    named = {"key": "karpenter.k8s.aws/capacity-reservation-id", "operator": "In", "values": ["cr-1"]}
    offering = {"zone": "a", "capacityType": "reserved", "price": 0, "reservationCapacity": 1, "requirements": [named]}
    sound = catalogue(offerings=[offering])
    assert run(*world(tmp_path, pool(), types=sound)).exit_code == 0
    for wrong, said in (
        ({"requirements": []}, ".reservationCapacity: reservationCapacity needs a requirement that names"),
        ({"capacityType": "spot"}, ".requirements: a capacity reservation"),
        ({"requirements": [named | {"values": ["cr-1", "cr-2"]}]}, ".requirements: a capacity reservation"),
        ({"reservationCapacity": -1}, ".reservationCapacity: must be 0..1000000"),
    ):
        done = run(*world(tmp_path, pool(), types=catalogue(offerings=[offering | wrong])))
        assert (done.exit_code, said in done.stderr) == (1, True), done.stderr


def test_a_file_of_something_else_is_no_catalogue() -> None:
    done = run(*WORKERS, "--catalog", str(examples("five-scan-workers.yaml")[1]))
    assert done.exit_code == 1
    assert 'InstanceTypeCatalog: kind: unknown kind "Deployment" (only InstanceTypeCatalog)' in done.stderr


# Colour.


def test_a_pipe_gets_plain_text_and_a_terminal_colour_unless_no_color() -> None:
    assert "\033[" not in run(*WORKERS).stdout
    command = [sys.executable, "-m", "agent", "plan", *WORKERS]
    plain = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    for environment, coloured in ((plain, True), (plain | {"NO_COLOR": "1"}, False)):
        controller, terminal = pty.openpty()
        subprocess.run(command, stdout=terminal, stderr=subprocess.DEVNULL, env=environment, check=True)
        os.close(terminal)
        shown = os.read(controller, 65536)
        os.close(controller)
        assert b"to launch" in shown
        assert (b"\033[" in shown) is coloured


def test_pods_wait_without_a_launch_when_only_disruption_is_asked_for(tmp_path: Path) -> None:
    body = planned(world(tmp_path, pool(), pod("a")), "--what", "disrupt")
    assert (body["actions"], body["placements"], body["unschedulable"]) == ([], {}, [])


def test_pending_pods_keep_the_node_that_has_room_for_them(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    body = planned(world(tmp_path, pool(), *there, pod("p")), "--what", "disrupt")
    assert (body["actions"], body["placements"]) == ([], {"default/p": {"node": "i-1"}})


def test_a_deployment_whose_pods_are_given_adds_none(tmp_path: Path) -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    assert len(planned(world(tmp_path, pool(), deployment))["placements"]) == 3
    assert len(planned(world(tmp_path, pool(), deployment, pod("a")))["placements"]) == 1


def test_a_pod_that_the_scheduler_has_placed_or_gated_is_not_pending(tmp_path: Path) -> None:
    gated = pod("gated") | {"status": {"conditions": [condition("PodScheduled", "False")]}}
    body = planned(world(tmp_path, pool(), gated, running("there", "i-1"), node("i-1", None)))
    assert (body["actions"], body["placements"]) == ([], {})


def test_an_overlay_of_the_files_corrects_prices_and_a_conflict_is_a_note(tmp_path: Path) -> None:
    def overlay(name: str, price: str) -> dict[str, Any]:
        return {
            "apiVersion": "karpenter.sh/v1alpha1",
            "kind": "NodeOverlay",
            "metadata": {"name": name},
            "spec": {"requirements": [], "price": price},
        }

    alone = world(tmp_path, pool(), pod("web"), overlay("flat", "0.001"))
    assert [a["price"] for a in launches(planned(alone))] == [0.001]
    done = run(*world(tmp_path, pool(), pod("web"), overlay("flat", "0.001"), overlay("other", "0.002")))
    assert done.exit_code == 0
    assert "note: NodeOverlay flat: it conflicts with NodeOverlay other of the same weight" in done.stderr
