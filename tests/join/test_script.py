"""The rendered scripts, run: what they do to a machine, how they fail, and that no token is left anywhere."""

from __future__ import annotations

import json
import stat
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.join.facts import parse_facts
from agent.join.userdata import RenderOptions, render
from tests.cluster.imds import MetadataServer, role_credentials
from tests.join.classes import FACTS, node_class
from tests.join.cluster import AwsAnswering, Json
from tests.join.machine import Machine

TOKEN = "abcdef.0123456789abcdef"
SECRET = "0123456789abcdef"
NEXT = "zyxwvu.fedcba9876543210"
ID, ZONE, DNS = "i-0aaaabbbbccccdddd", "ap-northeast-2c", "ip-10-0-1-23.ap-northeast-2.compute.internal"
QUICK = RenderOptions(token_wait_seconds=20, join_wait_seconds=20, retry_seconds=0)
HOPELESS = RenderOptions(token_wait_seconds=0, join_wait_seconds=0, retry_seconds=0)
USER = """\
#!/bin/bash
set -ex
umask
apt-get install -y containerd kubelet kubeadm
printf 'SystemdCgroup = false\\n' > /etc/containerd/config.toml
kubeadm join ${CLUSTER_ENDPOINT}:6443 --token ${BOOTSTRAP_TOKEN} --discovery-token-ca-cert-hash sha256:${CA_CERT_HASH}
"""


class Store:
    """Parameter Store: the answers still to give, then a token for ever."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.answers: list[tuple[int, Json]] = []
        self.service = AwsAnswering(self._answer)

    def refuse(self, code: str, status: int = 400) -> None:
        self.answers.append((status, {"__type": f"com.amazonaws.ssm#{code}", "message": "no"}))

    def give(self, value: str) -> None:
        self.answers.append((200, {"Parameter": {"Value": value}}))

    def _answer(self, operation: str, body: Json) -> tuple[int, Json]:
        assert (operation, body) == (
            "GetParameter",
            {"Name": "/joinery/demo/bootstrap-token", "WithDecryption": True},
        )
        return self.answers.pop(0) if self.answers else (200, {"Parameter": {"Value": self.token}})


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.service.close()


@pytest.fixture
def metadata() -> Iterator[MetadataServer]:
    server = MetadataServer(
        {
            "meta-data/instance-id": ID,
            "meta-data/placement/availability-zone": ZONE,
            "meta-data/local-hostname": DNS,
            "meta-data/iam/security-credentials/node": role_credentials("ASIATEST", "secret", "session"),
        }
    )
    yield server
    server.close()


@pytest.fixture
def make(tmp_path: Path, store: Store, metadata: MetadataServer) -> Callable[[bool], Machine]:
    return lambda baked: Machine(tmp_path, metadata=metadata.url, ssm=store.service.url, baked=baked)


Make = Callable[[bool], Machine]


def own(options: RenderOptions = QUICK) -> str:
    return render(node_class(), FACTS, options=options)


def users(script: str = USER, options: RenderOptions = QUICK) -> str:
    return render(node_class(userData=script), FACTS, options=options)


def test_a_plain_image_joins(make: Make) -> None:
    machine = make(False)

    boot = machine.boot(own())

    assert boot.status == 0, boot.console
    assert boot.phases == ["identity", "system", "source", "packages", "containerd", "token", "join", "joined"]
    assert not boot.called("poweroff")
    assert boot.called(f"hostnamectl set-hostname {ID}")
    assert boot.called("apt-get install -y containerd kubelet kubeadm")
    assert boot.called("apt-mark hold kubelet kubeadm")
    assert machine.text("etc/modules-load.d/90-joinery.conf") == "overlay\nbr_netfilter\n"
    assert "net.ipv4.ip_forward = 1" in machine.text("etc/sysctl.d/90-joinery.conf")
    assert machine.text("etc/fstab") == "LABEL=root / ext4\n#/swap.img none swap sw 0 0\n"
    source = machine.text("etc/apt/sources.list.d/joinery-kubernetes.list")
    assert "https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /" in source
    key = machine.root / "etc/apt/keyrings/joinery-kubernetes.asc"
    assert key.read_text() == "PUBLIC KEY\n"
    # apt reads the key as a user of its own.
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o755
    assert parse_facts(machine.text("etc/joinery/join-facts.json")) == FACTS


def test_kubeadm_gets_the_token_in_a_file_and_the_node_its_name(make: Make) -> None:
    machine = make(True)

    boot = machine.boot(own())

    join = json.loads((machine.record / "join-1.json").read_text())
    assert join["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert join["discovery"]["bootstrapToken"] == {
        "token": TOKEN,
        "apiServerEndpoint": "10.0.0.10:6443",
        "caCertHashes": list(FACTS.ca_cert_hashes),
    }
    assert join["nodeRegistration"]["name"] == ID
    assert join["timeouts"] == {"discovery": "1m0s"}
    assert not any(SECRET in call for call in boot.calls)


def test_an_older_kubeadm_gets_the_older_api(make: Make) -> None:
    machine = make(True)
    machine.behave("kubeadm", (machine.record / "behaviour/kubeadm").read_text().replace("v1.36.3", "v1.30.9"))
    facts = parse_facts(FACTS.text().replace("v1.36.3", "v1.30.9"))

    assert machine.boot(render(node_class(), facts, options=QUICK)).status == 0

    join = json.loads((machine.record / "join-1.json").read_text())
    assert join["apiVersion"] == "kubeadm.k8s.io/v1beta3"
    assert join["discovery"]["timeout"] == "1m0s"
    assert "timeouts" not in join


@pytest.mark.parametrize("script", [own(), users()])
def test_the_kubelet_drop_in_adds_to_kubeadms_and_loses_nothing(make: Make, script: str) -> None:
    machine = make(True)

    assert machine.boot(script).status == 0

    drop_in = machine.text("etc/systemd/system/kubelet.service.d/90-joinery.conf")
    flags = f"--provider-id=aws:///{ZONE}/{ID} --register-with-taints=karpenter.sh/unregistered:NoExecute"
    assert drop_in == (
        f'[Service]\nEnvironment="JOINERY_KUBELET_ARGS={flags}"\nExecStart=\n'
        f"ExecStart={machine.bin}/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS "
        "$KUBELET_EXTRA_ARGS $JOINERY_KUBELET_ARGS\n"
    )


def test_an_image_with_everything_baked_downloads_nothing(make: Make) -> None:
    machine = make(True)

    boot = machine.boot(own())

    assert boot.status == 0
    assert not boot.called("apt-get")
    assert not boot.called("curl")


def test_an_image_with_a_credential_provider_uses_it(make: Make) -> None:
    machine = make(True)
    (machine.bin / "ecr-credential-provider").symlink_to(machine.bin / "kubelet")

    assert machine.boot(own()).status == 0

    drop_in = machine.text("etc/systemd/system/kubelet.service.d/90-joinery.conf")
    assert f"--image-credential-provider-bin-dir={machine.bin}" in drop_in
    assert json.loads(machine.text("etc/joinery/ecr-credentials.json"))["kind"] == "CredentialProviderConfig"


def test_a_node_may_be_named_by_private_dns(make: Make) -> None:
    machine = make(True)
    options = RenderOptions(node_name="private-dns", token_wait_seconds=20, retry_seconds=0)

    boot = machine.boot(own(options))

    assert boot.called(f"hostnamectl set-hostname {DNS}")
    assert json.loads((machine.record / "join-1.json").read_text())["nodeRegistration"]["name"] == DNS


@pytest.mark.parametrize(
    ("said", "version", "runtime", "sandbox"),
    [
        (
            "containerd github.com/containerd/containerd 1.7.28",
            2,
            ["io.containerd.grpc.v1.cri"],
            ["io.containerd.grpc.v1.cri", "sandbox_image"],
        ),
        (
            "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376",
            3,
            ["io.containerd.cri.v1.runtime"],
            ["io.containerd.cri.v1.images", "pinned_images", "sandbox"],
        ),
    ],
)
def test_containerd_is_configured_by_its_version(
    make: Make, said: str, version: int, runtime: list[str], sandbox: list[str]
) -> None:
    machine = make(True)
    machine.behave("containerd", f'echo "{said}"')

    assert machine.boot(own()).status == 0

    config = tomllib.loads(machine.text("etc/containerd/config.toml"))
    found = config["plugins"]
    for key in sandbox:
        found = found[key]
    assert config["version"] == version
    assert found == "registry.k8s.io/pause:3.10.1"
    options = config["plugins"][runtime[0]]["containerd"]["runtimes"]["runc"]["options"]
    assert options["SystemdCgroup"] is True


def test_a_containerd_that_is_configured_already_keeps_its_runtimes(make: Make) -> None:
    machine = make(True)
    (machine.root / "etc/containerd").mkdir()
    (machine.root / "etc/containerd/config.toml").write_text("# nvidia\nSystemdCgroup = false\n")

    assert machine.boot(own()).status == 0

    assert machine.text("etc/containerd/config.toml") == "# nvidia\nSystemdCgroup = true\n"


@pytest.mark.parametrize("script", [own(), users()])
def test_no_token_is_left_on_console_logs_or_disk(make: Make, script: str) -> None:
    machine = make(True)
    machine.behave("join", 'echo "I was given $*"; cat "$3" 2>/dev/null || true')

    boot = machine.boot(script)

    assert boot.status == 0, boot.console
    assert SECRET not in boot.console
    assert machine.files_with(SECRET) == []
    assert SECRET not in script


@pytest.mark.parametrize("script", [own(), users()])
def test_a_token_that_is_missing_denied_or_damaged_now_is_waited_for(make: Make, store: Store, script: str) -> None:
    store.refuse("ParameterNotFound")
    store.refuse("AccessDeniedException")
    store.refuse("InternalServerError", 500)
    store.give("nonsense")

    boot = make(True).boot(script)

    assert boot.status == 0, boot.console
    for why in ("HTTP 400 ParameterNotFound", "HTTP 400 AccessDeniedException", "HTTP 500", "no bootstrap token"):
        assert why in boot.console


@pytest.mark.parametrize("script", [own(HOPELESS), users(USER, HOPELESS)])
def test_a_machine_that_never_gets_a_token_says_why_and_powers_off(make: Make, store: Store, script: str) -> None:
    for _ in range(20):
        store.refuse("AccessDeniedException")

    boot = make(True).boot(script)

    assert boot.status != 0
    assert "within 0.0 s: HTTP 400 AccessDeniedException" in boot.console
    assert "joinery: phase=failed at=token status=1 reason=no bootstrap token" in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_a_machine_without_metadata_powers_off(make: Make, metadata: MetadataServer) -> None:
    metadata.documents.clear()

    boot = make(True).boot(own(HOPELESS))

    assert "joinery: phase=failed at=identity" in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_packages_that_cannot_be_installed_at_first_are_tried_again(make: Make) -> None:
    machine = make(False)
    machine.stand_in(machine.bin / "sleep")
    once = '[ -e "$RECORD/tried" ] || { : >"$RECORD/tried"; exit 100; }\n'
    machine.behave("apt-get", once + (machine.record / "behaviour/apt-get").read_text())

    boot = machine.boot(own())

    assert boot.status == 0, boot.console
    assert boot.called("sleep 5")


def test_packages_that_are_not_there_power_the_machine_off(make: Make) -> None:
    machine = make(False)
    machine.stand_in(machine.bin / "sleep")
    machine.behave("apt-get", "echo 'E: Unable to locate package kubeadm' >&2; exit 100")

    boot = machine.boot(own())

    assert "reason=packages cannot be installed" in boot.console
    assert "joinery: log: E: Unable to locate package kubeadm" in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_packages_of_another_minor_version_are_not_joined_with(make: Make) -> None:
    machine = make(False)
    machine.behave("kubeadm", "echo v1.37.0")

    assert "reason=the package sources have no kubelet and kubeadm 1.36" in machine.boot(own()).console


def test_a_failed_join_is_cleaned_up_and_tried_with_a_fresh_token(make: Make, store: Store) -> None:
    machine = make(True)
    store.give(TOKEN)
    store.token = NEXT
    machine.behave(
        "join",
        """
mkdir -p "$ROOT/etc/kubernetes/pki" "$ROOT/var/lib/kubelet/pki"
[ ! -e "$ROOT/etc/kubernetes/pki/ca.crt" ] || exit 9
if [ "$tries" = 1 ]; then
  : >"$ROOT/etc/kubernetes/pki/ca.crt"; : >"$ROOT/etc/kubernetes/bootstrap-kubelet.conf"
  : >"$ROOT/var/lib/kubelet/pki/kubelet-client.key.tmp"
  exit 1
fi
""",
    )

    boot = machine.boot(own())

    assert boot.status == 0, boot.console
    tokens = [json.loads((machine.record / f"join-{n}.json").read_text()) for n in (1, 2)]
    assert [t["discovery"]["bootstrapToken"]["token"] for t in tokens] == [TOKEN, NEXT]
    assert not (machine.root / "etc/kubernetes/bootstrap-kubelet.conf").exists()
    assert (machine.root / "var/lib/kubelet/pki/kubelet-client.key.tmp").exists()


def test_a_join_that_fails_after_its_certificate_powers_off(make: Make) -> None:
    machine = make(True)
    machine.behave(
        "join",
        'mkdir -p "$ROOT/var/lib/kubelet/pki"; : >"$ROOT/var/lib/kubelet/pki/kubelet-client-current.pem"; exit 1',
    )

    boot = machine.boot(own())

    assert "reason=kubeadm join failed after its certificate was issued" in boot.console
    assert sum(call.startswith("kubeadm join") for call in boot.calls) == 1
    assert boot.calls[-1].startswith("poweroff")


def test_a_join_that_never_succeeds_powers_off(make: Make) -> None:
    machine = make(True)
    machine.behave("join", "echo 'error execution phase preflight'; exit 1")

    boot = machine.boot(own(HOPELESS))

    assert "reason=kubeadm join failed until its time was over" in boot.console
    assert "joinery: log: error execution phase preflight" in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_a_user_script_finds_its_variables_and_is_made_to_join_well(make: Make) -> None:
    machine = make(False)

    boot = machine.boot(users())

    assert boot.status == 0, boot.console
    assert boot.phases == ["identity", "system", "source", "token", "user-script", "joined"]
    assert boot.called(f"kubeadm join 10.0.0.10:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:{'a' * 64}")
    # The user's configuration said cgroupfs, the cluster's kubelets use systemd.
    assert machine.text("etc/containerd/config.toml") == "SystemdCgroup = true\n"
    assert boot.calls[-1] == "systemctl restart containerd"
    assert (machine.root / "etc/apt/sources.list.d/joinery-kubernetes.list").exists()


def test_the_output_of_a_user_script_is_kept_without_its_token(make: Make) -> None:
    machine = make(True)

    boot = machine.boot(users())

    log = machine.root / "var/log/joinery/user-data.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "kubeadm join 10.0.0.10:6443 --token [token] --discovery-token-ca-cert-hash" in log.read_text()
    assert "\n0022\n" in log.read_text()
    assert "kubeadm join 10.0.0.10" not in boot.console


def test_the_secret_half_alone_is_filtered_too(make: Make) -> None:
    machine = make(True)

    machine.boot(users('#!/bin/bash\necho "half ${BOOTSTRAP_TOKEN#*.}" "whole $BOOTSTRAP_TOKEN"; exit 3\n'))

    assert "half [secret] whole [token]" in machine.text("var/log/joinery/user-data.log")


def test_a_failing_user_script_says_so_and_powers_off(make: Make) -> None:
    boot = make(True).boot(users('#!/bin/bash\necho "my token is $BOOTSTRAP_TOKEN"\nexit 7\n'))

    assert "joinery: phase=failed at=user-script status=1 reason=the user's script ended with status 7" in boot.console
    assert "joinery: log: my token is [token]" in boot.console
    assert SECRET not in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_a_user_script_that_did_not_join_is_no_success(make: Make) -> None:
    boot = make(True).boot(users("#!/bin/bash\ntrue\n"))

    assert "reason=the user's script ended well, but this machine did not join" in boot.console
    assert boot.calls[-1].startswith("poweroff")


def test_a_background_process_of_a_user_script_does_not_hold_the_join_up(make: Make) -> None:
    script = USER.replace("set -ex\n", "set -ex\nsleep 30 &\n")

    assert make(True).boot(users(script)).status == 0


def test_a_user_script_with_its_own_package_source_gets_no_second_one(make: Make) -> None:
    machine = make(False)
    script = USER.replace("umask\n", "# https://pkgs.k8s.io/core:/stable:/v1.36/deb/\n")

    assert machine.boot(users(script)).status == 0
    assert not (machine.root / "etc/apt/sources.list.d/joinery-kubernetes.list").exists()


def test_a_source_that_the_image_has_is_not_named_twice(make: Make) -> None:
    machine = make(False)
    (machine.root / "etc/apt/sources.list.d").mkdir()
    (machine.root / "etc/apt/sources.list.d/k.list").write_text("deb https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /\n")

    assert machine.boot(own()).status == 0
    assert not (machine.root / "etc/apt/sources.list.d/joinery-kubernetes.list").exists()


def test_requests_for_the_token_carry_the_session_of_the_instances_role(make: Make, store: Store) -> None:
    make(True).boot(own())

    _, _, headers = store.service.calls[0]
    assert headers["x-amz-security-token"] == "session"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIATEST/")


def test_bash_is_the_only_shell_that_is_asked_for() -> None:
    assert own().splitlines()[0] == users().splitlines()[0] == "#!/bin/bash"
    assert subprocess.run(["bash", "-n"], input=users(), text=True, check=False).returncode == 0
