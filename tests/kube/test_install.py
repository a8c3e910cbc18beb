"""What `install` and `uninstall` do to a cluster, against an API server on loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.kube import rbac
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError, Retryable
from agent.kube.install import InstallError, install, karpenter_running
from agent.kube.kinds import MANAGED_BY, kind_of, path_of
from agent.kube.uninstall import uninstall
from tests.kube.install_server import InstallServer

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/joinery"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
CLASSES = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses"


def crd(plural: str = "nodeclaims", group: str = "karpenter.sh") -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": {"plural": plural}, "versions": [{"name": "v1", "served": True}]},
    }


def all_objects() -> list[dict[str, Any]]:
    return [*rbac.objects(), crd(), crd("nodepools"), crd("ec2nodeclasses", "karpenter.k8s.aws")]


@pytest.fixture
def server() -> Iterator[InstallServer]:
    running = InstallServer()
    yield running
    running.close()


@pytest.fixture
def api(server: InstallServer, tmp_path: Path) -> Iterator[KubeApi]:
    with KubeApi.from_kubeconfig(str(server.kubeconfig(tmp_path / "admin.conf"))) as opened:
        yield opened


def lease(server: InstallServer, path: str, holder: str, renewed: datetime) -> None:
    namespace, name = path.split("/")
    server.store(
        f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": 15,
                "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        },
    )


def test_a_first_install_creates_everything_and_says_so(server: InstallServer, api: KubeApi) -> None:
    lines = install(api, all_objects())

    assert lines[:2] == [
        "namespace/joinery-system created",
        "customresourcedefinition.apiextensions.k8s.io/nodeclaims.karpenter.sh created",
    ]
    assert len(lines) == len(all_objects())
    assert all(line.endswith(" created") for line in lines)
    assert all(item["metadata"]["labels"][MANAGED_BY] == "joinery" for item in server.objects.values())


def test_the_guard_of_secrets_stands_before_the_right_to_write_them(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())

    created = [path for _, path in server.writes()]
    guard = next(i for i, path in enumerate(created) if path.endswith("validatingadmissionpolicybindings"))
    right = next(i for i, path in enumerate(created) if path.endswith("kube-system/roles"))
    assert guard < right


def test_a_second_install_writes_nothing(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    server.requests.clear()

    lines = install(api, all_objects())

    assert all(line.endswith(" unchanged") for line in lines)
    assert server.writes() == []


def test_what_somebody_added_to_a_role_of_ours_is_taken_back(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    wanted = list(server.objects[CLUSTER_ROLE]["rules"])
    server.objects[CLUSTER_ROLE]["rules"].append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})

    lines = install(api, all_objects())

    assert "clusterrole.rbac.authorization.k8s.io/joinery configured" in lines
    assert server.objects[CLUSTER_ROLE]["rules"] == wanted


def test_an_upgrade_removes_what_left_the_manifest_and_keeps_labels_of_others(
    server: InstallServer, api: KubeApi
) -> None:
    old = crd()
    old["spec"]["preserveUnknownFields"] = True
    install(api, [old])
    path = f"{CRDS}/nodeclaims.karpenter.sh"
    server.objects[path]["metadata"]["labels"]["team"] = "platform"

    lines = install(api, [crd()])

    assert lines == ["customresourcedefinition.apiextensions.k8s.io/nodeclaims.karpenter.sh configured"]
    assert "preserveUnknownFields" not in server.objects[path]["spec"]
    assert server.objects[path]["metadata"]["labels"]["team"] == "platform"


def test_a_binding_to_another_role_is_made_anew(server: InstallServer, api: KubeApi) -> None:
    install(api, rbac.objects())
    path = CLUSTER_ROLE.replace("clusterroles", "clusterrolebindings")
    server.objects[path]["roleRef"]["name"] = "cluster-admin"

    assert "clusterrolebinding.rbac.authorization.k8s.io/joinery replaced" in install(api, rbac.objects())
    assert server.objects[path]["roleRef"]["name"] == "joinery"


def test_crds_of_karpenter_are_refused_before_anything_is_written(server: InstallServer, api: KubeApi) -> None:
    server.store(f"{CRDS}/nodepools.karpenter.sh", crd("nodepools"))

    with pytest.raises(InstallError, match=r"nodepools\.karpenter\.sh exist already .* --adopt-crds"):
        install(api, all_objects())

    assert server.writes() == []


def test_crds_of_karpenter_are_taken_over_when_told_to(server: InstallServer, api: KubeApi) -> None:
    server.store(f"{CRDS}/nodepools.karpenter.sh", crd("nodepools"))

    lines = install(api, all_objects(), adopt_crds=True)

    assert "customresourcedefinition.apiextensions.k8s.io/nodepools.karpenter.sh configured" in lines
    assert server.objects[f"{CRDS}/nodepools.karpenter.sh"]["metadata"]["labels"][MANAGED_BY] == "joinery"


def test_crds_do_not_change_hands_while_karpenter_runs(server: InstallServer, api: KubeApi) -> None:
    server.store(f"{CRDS}/nodepools.karpenter.sh", crd("nodepools"))
    lease(server, "karpenter/karpenter-leader-election", "karpenter-7f", datetime.now(UTC))

    with pytest.raises(InstallError, match="Karpenter is running: karpenter-7f"):
        install(api, all_objects(), adopt_crds=True)

    assert server.writes() == []


def test_a_role_of_our_name_that_is_not_ours_is_refused(server: InstallServer, api: KubeApi) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "joinery"}}
    server.store(CLUSTER_ROLE, role)

    with pytest.raises(InstallError, match=r"clusterrole\.rbac\.authorization\.k8s\.io/joinery exist already"):
        install(api, all_objects())

    assert server.writes() == []


def test_a_namespace_that_somebody_made_beforehand_is_left_as_it_is(server: InstallServer, api: KubeApi) -> None:
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "joinery-system", "labels": {"quota": "s"}}}
    server.store("/api/v1/namespaces/joinery-system", made)

    assert install(api, all_objects())[0] == "namespace/joinery-system left as it is"
    assert server.objects["/api/v1/namespaces/joinery-system"]["metadata"]["labels"] == {"quota": "s"}


def test_a_namespace_that_is_still_being_deleted_is_waited_for(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    server.objects["/api/v1/namespaces/joinery-system"]["metadata"]["deletionTimestamp"] = "2026-11-25T03:00:00Z"
    server.requests.clear()

    with pytest.raises(InstallError, match="namespace/joinery-system is still being deleted; wait until it is gone"):
        install(api, all_objects())

    assert server.writes() == []


def test_a_lost_answer_does_not_create_twice(server: InstallServer, api: KubeApi) -> None:
    server.fail("POST", "clusterroles", 504, "Timeout", after=True)

    lines = install(api, all_objects())

    assert "clusterrole.rbac.authorization.k8s.io/joinery unchanged" in lines
    assert CLUSTER_ROLE in server.objects


def test_somebody_who_writes_in_between_is_read_again(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    server.objects[CLUSTER_ROLE]["rules"] = []
    server.fail("PATCH", "clusterroles", 409, "Conflict")

    assert "clusterrole.rbac.authorization.k8s.io/joinery configured" in install(api, all_objects())
    assert server.objects[CLUSTER_ROLE]["rules"]


def test_somebody_who_always_writes_in_between_ends_it_with_a_sentence(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    server.objects[CLUSTER_ROLE]["rules"] = []
    for _ in range(5):
        server.fail("PATCH", "clusterroles", 409, "Conflict")

    with pytest.raises(InstallError, match=r"clusterrole.* kept changing"):
        install(api, all_objects())


def test_a_throttled_install_stops_and_may_be_repeated(server: InstallServer, api: KubeApi) -> None:
    server.fail("POST", "serviceaccounts", 429, "TooManyRequests")
    with pytest.raises(Retryable):
        install(api, all_objects())

    assert "serviceaccount/joinery created" in install(api, all_objects())


def test_a_user_without_rights_learns_why(server: InstallServer, tmp_path: Path) -> None:
    kubeconfig = server.kubeconfig(tmp_path / "nobody.conf", token="nobody")
    with (
        KubeApi.from_kubeconfig(str(kubeconfig)) as api,
        pytest.raises(KubeError, match="the server says Unauthorized"),
    ):
        install(api, all_objects())


def test_karpenter_runs_as_long_as_it_renews_its_lease(server: InstallServer, api: KubeApi) -> None:
    assert karpenter_running(api, NOW) is None

    lease(server, "kube-system/karpenter-leader-election", "karpenter-7f", NOW - timedelta(seconds=14))

    said = "Karpenter is running: karpenter-7f renews the Lease kube-system/karpenter-leader-election"
    assert karpenter_running(api, NOW) == said
    assert karpenter_running(api, NOW + timedelta(seconds=2)) is None


def test_a_lease_that_was_released_or_is_another_programs_is_no_karpenter(server: InstallServer, api: KubeApi) -> None:
    lease(server, "kube-system/karpenter-leader-election", "", NOW)
    lease(server, "kube-system/kube-scheduler", "cp0", NOW)

    assert karpenter_running(api, NOW) is None


def test_uninstall_removes_what_install_made_and_keeps_the_crds(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())

    lines = uninstall(api)

    assert set(server.objects) == {
        f"{CRDS}/nodeclaims.karpenter.sh",
        f"{CRDS}/nodepools.karpenter.sh",
        f"{CRDS}/ec2nodeclasses.karpenter.k8s.aws",
    }
    assert "serviceaccount/joinery deleted" in lines
    assert lines[-1].endswith(
        "ec2nodeclasses.karpenter.k8s.aws kept: deleting it deletes every object of it; to do so add "
        "--delete-crd ec2nodeclasses.karpenter.k8s.aws"
    )
    assert uninstall(api)[:-3] == []


def test_uninstall_takes_away_rights_before_the_guard_and_the_namespace_last(
    server: InstallServer, api: KubeApi
) -> None:
    install(api, all_objects())
    server.requests.clear()

    uninstall(api)

    deleted = [path for _, path in server.writes()]
    assert "rolebindings" in deleted[0]
    assert deleted[-1] == "/api/v1/namespaces/joinery-system"


def test_a_crd_goes_when_it_is_named(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())

    lines = uninstall(api, delete_crds=("nodepools.karpenter.sh",))

    assert f"{CRDS}/nodepools.karpenter.sh" not in server.objects
    assert f"{CRDS}/nodeclaims.karpenter.sh" in server.objects
    assert any(line.endswith("nodepools.karpenter.sh deleted, with every object of it") for line in lines)


def test_a_crd_that_is_not_ours_is_never_deleted(server: InstallServer, api: KubeApi) -> None:
    server.store(f"{CRDS}/nodepools.karpenter.sh", crd("nodepools"))

    with pytest.raises(InstallError, match=r"nodepools\.karpenter\.sh cannot be deleted"):
        uninstall(api, delete_crds=("nodepools.karpenter.sh",))

    assert uninstall(api)[-1].endswith("nodepools.karpenter.sh kept: not Joinery's")


def claim(server: InstallServer) -> str:
    path = f"{CLAIMS}/default-abc"
    metadata = {"name": "default-abc", "finalizers": ["karpenter.sh/termination", "example.com/other"]}
    server.store(path, {"metadata": metadata, "status": {"providerID": "aws:///a/i-0123"}})
    return path


def test_uninstall_refuses_while_instances_stand_and_says_what_to_do_first(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    claim(server)
    server.requests.clear()

    with pytest.raises(
        InstallError, match=r"1 NodeClaims .*default-abc.* kubectl delete nodepools\.karpenter\.sh --all"
    ):
        uninstall(api)

    assert server.writes() == []


def test_uninstall_refuses_while_a_daemon_runs(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    lease(server, "joinery-system/joinery", "cp0", datetime.now(UTC))

    with pytest.raises(InstallError, match=r"a Joinery daemon is running: cp0 .* systemctl disable --now joinery"):
        uninstall(api)


def test_force_leaves_instances_running_but_no_finalizer_of_ours(server: InstallServer, api: KubeApi) -> None:
    install(api, all_objects())
    path = claim(server)
    server.store(
        f"{CLASSES}/default", {"metadata": {"name": "default", "finalizers": ["karpenter.k8s.aws/termination"]}}
    )

    lines = uninstall(api, force=True)

    assert lines[0] == "nodeclaim.karpenter.sh/default-abc released: its instance runs on (aws:///a/i-0123)"
    assert lines[1] == "ec2nodeclass.karpenter.k8s.aws/default released"
    assert server.objects[path]["metadata"]["finalizers"] == ["example.com/other"]
    assert server.objects[f"{CLASSES}/default"]["metadata"]["finalizers"] == []


def test_claims_of_karpenter_itself_are_not_touched(server: InstallServer, api: KubeApi) -> None:
    server.store(f"{CRDS}/nodeclaims.karpenter.sh", crd())
    path = claim(server)

    uninstall(api, force=True)

    assert server.objects[path]["metadata"]["finalizers"] == ["karpenter.sh/termination", "example.com/other"]


def test_every_rule_says_why() -> None:
    rules = [rule for grant in rbac.grants() for rule in grant.rules]

    assert all(rule.reason and rule.verbs and rule.resources for rule in rules)
    assert not any("*" in part for rule in rules for part in (*rule.verbs, *rule.resources, rule.group))


def test_conditions_may_be_written_and_what_people_wrote_may_not() -> None:
    verbs = {what: rule.verbs for rule in rbac.cluster_rules() for what in rule.resources}

    assert verbs["nodeoverlays/status"] == ("get", "update", "patch")
    assert verbs["nodeoverlays"] == ("get", "list", "watch")


def test_every_object_of_the_installation_has_a_path() -> None:
    assert [path_of(m) for m in rbac.objects() if m["kind"] == "Role"] == [
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/joinery"
        for namespace in ("joinery-system", "kube-system", "kube-public")
    ]
    with pytest.raises(ValueError, match="v1 Pod is no kind"):
        kind_of({"apiVersion": "v1", "kind": "Pod"})


def test_the_documentation_lists_the_rights_as_they_are() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "operations.md"

    assert rbac.table(rbac.grants()) in page.read_text()
