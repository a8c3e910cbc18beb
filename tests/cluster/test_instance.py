"""An instance runs its user data for real and leaves the machine as it was."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.cluster.conftest import MakeInstance
from tests.cluster.controlplane import ControlPlane
from tests.cluster.hardware import KERNEL_SETTINGS
from tests.cluster.instance import Instance, InstanceFacts
from tests.cluster.processes import wait_until
from tests.join.classes import USER_SCRIPT

# The least that a plain image needs before such a script can work on it.
PREPARATION = """\
#!/bin/bash
set -e
hostnamectl set-hostname INSTANCE_ID
mkdir -p /etc/containerd /etc/apt/keyrings /etc/apt/sources.list.d /etc/systemd/system/kubelet.service.d
curl -fsSL https://packages.example/core:/stable:/MINOR/deb/Release.key | gpg --dearmor -o /etc/apt/keyrings/k8s.gpg
echo 'deb [signed-by=/etc/apt/keyrings/k8s.gpg] https://packages.example/core:/stable:/MINOR/deb/ /' \\
    > /etc/apt/sources.list.d/kubernetes.list
echo br_netfilter > /etc/modules-load.d/kubernetes.conf
echo net.ipv4.ip_forward = 1 > /etc/sysctl.d/90-kubernetes.conf
systemctl restart systemd-modules-load systemd-sysctl
cat > /etc/systemd/system/kubelet.service.d/20-test.conf <<'END'
[Service]
Environment="KUBELET_EXTRA_ARGS=--provider-id=aws:///ZONE/INSTANCE_ID --register-with-taints=test/new:NoExecute"
END
"""


def prepared(facts: InstanceFacts, script: str, **variables: str) -> str:
    preparation = PREPARATION.replace("INSTANCE_ID", facts.instance_id).replace("ZONE", facts.zone)
    exports = "".join(f"export {name}={value}\n" for name, value in variables.items())
    run = f"cat > /opt/user-script <<'END'\n{script}END\nchmod +x /opt/user-script\n/opt/user-script\n"
    return preparation.replace("MINOR", "v1.36") + exports + run


def joining(control_plane: ControlPlane, facts: InstanceFacts, token: str | None = None) -> str:
    return prepared(
        facts,
        USER_SCRIPT,
        CLUSTER_ENDPOINT=control_plane.host,
        BOOTSTRAP_TOKEN=token or control_plane.token(),
        CA_CERT_HASH=control_plane.ca_cert_hash.removeprefix("sha256:"),
    )


def listing(folder: str) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for directory, _, names in os.walk(folder):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            status = path.lstat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, digest)
    return found


def host_state() -> dict[str, object]:
    places = (
        "/run",
        "/opt",
        "/usr/bin",
        "/usr/local/bin",
        "/usr/libexec",
        "/var/lib",
        "/var/log",
        "/root",
        "/sys/fs/cgroup",
    )
    return {
        "/etc": listing("/etc"),
        "hostname": socket.gethostname(),
        "places": {place: sorted(path.name for path in Path(place).iterdir()) for place in places},
        "kernel": {
            key: Path("/proc/sys", key).read_text() for key in KERNEL_SETTINGS if Path("/proc/sys", key).exists()
        },
        "memory": Path("/proc/meminfo").read_text().splitlines()[0],
        "cpus": sorted(path.name for path in Path("/sys/devices/system/node/node0").iterdir()),
    }


def running_in(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]


def test_the_users_own_script_joins_a_node_of_the_asked_size_and_leaves_the_machine_as_it_was(
    control_plane: ControlPlane, make_instance: MakeInstance
) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa1", "m5.2xlarge", vcpus=8, memory_bytes=33_004_232_704)
    before = host_state()
    instance = make_instance(facts, joining(control_plane, facts))

    assert instance.wait_exit() == 0, instance.console
    node = control_plane.wait_ready(facts.instance_id)
    assert node["status"]["capacity"]["cpu"] == "8"
    assert node["status"]["capacity"]["memory"] == f"{33_004_232_704 // 1024}Ki"
    assert node["spec"]["providerID"] == f"aws:///{facts.zone}/{facts.instance_id}"
    assert {"key": "test/new", "effect": "NoExecute"} in node["spec"]["taints"]
    assert node["status"]["nodeInfo"]["osImage"] == "Ubuntu 24.04.3 LTS"
    assert instance.state == "running"
    assert instance.path("/var/lib/kubelet/config.yaml").exists()
    assert host_state() == before

    instance.terminate()
    assert instance.state == "terminated"
    assert host_state() == before
    assert not running_in(instance.folder)
    control_plane.kubectl("delete", "node", facts.instance_id)


def test_pods_run_on_such_a_node_and_go_with_it_drained(
    control_plane: ControlPlane, make_instance: MakeInstance
) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa2")
    instance = make_instance(facts, joining(control_plane, facts))
    assert instance.wait_exit() == 0, instance.console
    control_plane.wait_ready(facts.instance_id)
    control_plane.kubectl("taint", "node", facts.instance_id, "test/new-")
    control_plane.kubectl("create", "deployment", "web", "--image=web.example/web:1", "--replicas=3")
    control_plane.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    placed = control_plane.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert placed.split() == [facts.instance_id] * 3
    control_plane.kubectl("drain", facts.instance_id, "--ignore-daemonsets", "--timeout=30s")
    control_plane.kubectl("delete", "deployment/web", f"node/{facts.instance_id}")


def test_several_instances_join_at_once_each_with_its_own_size(
    control_plane: ControlPlane, make_instance: MakeInstance
) -> None:
    all_facts = [
        InstanceFacts(f"i-0bbbbbbbbbbbbbb{number:02d}", vcpus=2**number, memory_bytes=number * 2**30 + 4096)
        for number in range(1, 9)
    ]
    instances = [make_instance(facts, joining(control_plane, facts)) for facts in all_facts]
    assert [instance.wait_exit() for instance in instances] == [0] * len(instances)
    for facts in all_facts:
        capacity = control_plane.wait_ready(facts.instance_id)["status"]["capacity"]
        assert (capacity["cpu"], capacity["memory"]) == (str(facts.vcpus), f"{facts.memory_bytes // 1024}Ki")
        control_plane.kubectl("delete", "node", facts.instance_id)


def test_a_wrong_token_leaves_the_node_out(control_plane: ControlPlane, make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa3")
    instance = make_instance(facts, joining(control_plane, facts, token="abcdef.0123456789abcdef"))
    assert instance.wait_exit() == 1
    assert "could not find a JWS signature" in instance.console
    assert control_plane.api("GET", f"/api/v1/nodes/{facts.instance_id}")[0] == 404


def test_a_script_that_does_not_prepare_the_machine_fails_as_on_a_plain_image(make_instance: MakeInstance) -> None:
    instance = make_instance(InstanceFacts("i-0aaaaaaaaaaaaaaa4"), USER_SCRIPT)
    assert instance.wait_exit() != 0
    assert "E: Unable to locate package kubelet" in instance.console


def test_preflight_sees_what_the_script_left_undone(control_plane: ControlPlane, make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa5")
    user_data = joining(control_plane, facts).replace("net.ipv4.ip_forward = 1", "net.ipv4.ip_forward = 0")
    instance = make_instance(facts, user_data)
    assert instance.wait_exit() == 1
    assert "FileContent--proc-sys-net-ipv4-ip_forward" in instance.console


def test_a_joined_node_can_be_reset_by_kubeadm(control_plane: ControlPlane, make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa6")
    instance = make_instance(facts, joining(control_plane, facts) + "kubeadm reset --force\n")
    assert instance.wait_exit() == 0, instance.console
    assert "systemctl stop kubelet" in instance.calls
    assert not instance.path("/etc/kubernetes/kubelet.conf").is_file()
    control_plane.kubectl("delete", "node", facts.instance_id, "--ignore-not-found")


def test_a_join_may_name_a_configuration_file(control_plane: ControlPlane, make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaa7")
    configuration = textwrap.dedent(f"""\
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: JoinConfiguration
        discovery:
          bootstrapToken:
            apiServerEndpoint: {control_plane.endpoint}
            token: {control_plane.token()}
            caCertHashes: ["{control_plane.ca_cert_hash}"]
        nodeRegistration:
          kubeletExtraArgs: [{{name: node-labels, value: tier=batch}}]
        """)
    script = (
        "#!/bin/bash\nset -e\napt-get update\napt-get install -y containerd kubelet kubeadm\n"
        f"cat > /etc/join.yaml <<'Y'\n{configuration}Y\nkubeadm join --config /etc/join.yaml -v2\n"
    )
    instance = make_instance(facts, prepared(facts, script))
    assert instance.wait_exit() == 0, instance.console
    assert control_plane.wait_ready(facts.instance_id)["metadata"]["labels"]["tier"] == "batch"
    control_plane.kubectl("delete", "node", facts.instance_id)


def test_a_poweroff_is_seen_and_ends_everything(make_instance: MakeInstance) -> None:
    script = "#!/bin/bash\nsleep 1000 & echo $! > /run/sleeper\nshutdown -h now\ntouch /etc/still-running\n"
    instance: Instance = make_instance(InstanceFacts("i-0aaaaaaaaaaaaaaa8"), script)
    assert instance.wait_exit() is None
    instance.wait_powered_off()
    assert instance.state == "stopped"
    assert not instance.path("/etc/still-running").exists()
    instance.terminate()
    assert instance.state == "terminated"


def test_the_metadata_service_wants_a_session_token(make_instance: MakeInstance) -> None:
    script = textwrap.dedent("""\
        #!/bin/bash
        set -e
        base=http://169.254.169.254/latest
        token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$base/api/token")
        get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$base/$1"; }
        get meta-data/instance-id; echo
        get meta-data/placement/availability-zone; echo
        get "meta-data/iam/security-credentials/$(get meta-data/iam/security-credentials/)" | grep AccessKeyId
        get user-data | head -n 1
        curl -s -o /dev/null -w '%{http_code}\\n' "$base/meta-data/instance-id"
        """)
    instance = make_instance(InstanceFacts("i-0aaaaaaaaaaaaaaa9"), script)
    assert instance.wait_exit() == 0, instance.console
    assert instance.console.splitlines()[:2] == ["i-0aaaaaaaaaaaaaaa9", "ap-northeast-2a"]
    assert instance.console.splitlines()[-2:] == ["#!/bin/bash", "401"]
    assert instance.metadata is not None
    host = instance.metadata.url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("PUT", "/latest/api/token")
    assert connection.getresponse().status == 400
    connection.close()


def test_an_instance_ends_with_the_process_that_booted_it(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""\
        import os, pathlib, signal
        from tests.cluster.instance import Instance, InstanceFacts
        node = pathlib.Path({str(tmp_path / "node")!r})
        instance = Instance(InstanceFacts("i-0aaaaaaaaaaaaaa10"), b"#!/bin/bash\\nexit 0", node)
        instance.boot()
        instance.wait_exit()
        print(instance._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    pid = int(done.stdout)
    wait_until("end of the instance", lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state(pid), timeout=10)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_several_scripts_in_one_archive_run_in_turn(make_instance: MakeInstance) -> None:
    archive = textwrap.dedent("""\
        MIME-Version: 1.0
        Content-Type: multipart/mixed; boundary="b"

        --b
        Content-Type: text/x-shellscript

        #!/bin/bash
        echo first; exit 3
        --b
        Content-Type: text/x-shellscript

        #!/bin/sh
        echo second
        --b--
        """)
    instance = make_instance(InstanceFacts("i-0aaaaaaaaaaaaaa11"), archive)
    assert instance.wait_exit() == 3
    assert instance.console.split() == ["first", "second"]


def test_files_win_over_environment_lines_of_a_kubelet_drop_in(make_instance: MakeInstance) -> None:
    script = textwrap.dedent("""\
        #!/bin/bash
        cd /etc/systemd/system && mkdir probe.service.d
        cat > probe.service <<'END'
        [Service]
        Type=oneshot
        Environment="A=unit" "B=unit"
        ExecStart=/bin/false
        END
        cat > probe.service.d/10.conf <<'END'
        [Service]
        EnvironmentFile=-/etc/absent
        EnvironmentFile=/etc/probe
        Environment=B=drop-in C=drop-in
        END
        cat > probe.service.d/20.conf <<'END'
        [Service]
        ExecStart=
        ExecStart=/bin/echo ${A} $B ${C}x $D
        END
        printf 'A=file\\nD="two words"\\n' > /etc/probe
        systemctl daemon-reload
        systemctl start probe
        """)
    instance = make_instance(InstanceFacts("i-0aaaaaaaaaaaaaa12"), script)
    assert instance.wait_exit() == 0, instance.console
    assert instance.log("probe") == "file drop-in drop-inx two words\n"


def test_facts_of_the_type_are_what_a_script_sees(make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaa13", vcpus=96, memory_bytes=384 * 2**30, private_ip="10.9.8.7")
    script = "#!/bin/bash\nnproc\ngrep -c ^processor /proc/cpuinfo\nhostname\ndpkg --print-architecture\nls /tmp\n"
    instance = make_instance(facts, script)
    assert instance.wait_exit() == 0
    assert instance.console.split()[:4] == ["96", "96", "ip-10-9-8-7", "amd64"]
    assert json.loads(str(facts.documents(b"")["dynamic/instance-identity/document"]))["region"] == facts.region
