"""The units as they are shipped, started by a real systemd, against the sandbox: `make test-systemd`."""

from __future__ import annotations

import site
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agent.kube import paths
from agent.kube.kinds import items
from agent.sim.sandbox import Sandbox
from agent.sim.team import CLUSTER
from tests.systemd.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
SHIPPED = ("joinery.service", "joinery-token-rotate.service", "joinery-token-rotate.timer")
PROGRAM = """\
#!/bin/sh
PYTHONPATH={paths} exec /usr/bin/python3 -P -m agent "$@"
"""
QUICK = "[Service]\nWatchdogSec=4s\nRestartSec=1s\n"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), fixed=()) as running:
        yield running


@pytest.fixture(scope="module")
def machine(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o755)
    with Machine(folder, shared) as found:
        install(found, sandbox)
        yield found


def install(machine: Machine, sandbox: Sandbox) -> None:
    """What install.sh puts on a control-plane node."""
    for name in SHIPPED:
        machine.write(f"/etc/systemd/system/{name}", (UNITS / name).read_text())
    machine.write("/etc/systemd/system/joinery.service.d/quick.conf", QUICK)
    for kind in ("sysusers.d", "tmpfiles.d"):
        machine.write(f"/usr/lib/{kind}/joinery.conf", (UNITS / kind / "joinery.conf").read_text())
    machine.ok("systemd-sysusers")
    machine.ok("systemd-tmpfiles", "--create", "joinery.conf")
    # The tree and its packages where the sandbox of the unit lets them be read: not below /root.
    code = "/opt/joinery/code"
    machine.ok("mkdir", "-p", code)
    machine.ok("cp", "-r", str(ROOT / "agent"), str(ROOT / "userdata_templates"), code)
    machine.ok("cp", "-rL", site.getsitepackages()[0], f"{code}/packages")
    machine.write("/opt/joinery/venv/bin/joinery", PROGRAM.format(paths=f"{code}:{code}/packages"), "0755")
    machine.ok("chmod", "-R", "a+rX", "/opt/joinery")
    machine.write("/etc/joinery/agent.yaml", yaml.safe_dump({"clusterName": CLUSTER, "region": "ap-northeast-2"}))
    machine.write("/etc/joinery/environment", "".join(f"{k}={v}\n" for k, v in sandbox.ec2.environment.items()))
    machine.write("/etc/kubernetes/admin.conf", sandbox.kubeconfig.read_text(), "0600")
    machine.ok("systemctl", "daemon-reload")


def active(machine: Machine) -> bool:
    return machine.show("joinery", "ActiveState")["ActiveState"] == "active"


@pytest.fixture
def started(machine: Machine) -> Iterator[Machine]:
    machine.ok("systemctl", "start", "joinery")
    yield machine
    machine.run("systemctl", "stop", "joinery")


def test_the_daemon_is_ready_when_systemd_says_so_and_runs_as_its_own_user(started: Machine) -> None:
    about = started.show("joinery", "ActiveState", "SubState", "User", "StatusText", "MainPID")
    assert (about["ActiveState"], about["SubState"], about["User"]) == ("active", "running", "joinery")
    assert "nodes" in about["StatusText"]
    owner = started.ok("stat", "-c", "%U", f"/proc/{about['MainPID']}").strip()
    assert owner == "joinery"


def test_its_credential_is_its_own_and_no_administrators(started: Machine, sandbox: Sandbox) -> None:
    assert started.ok("stat", "-c", "%U %a", "/var/lib/joinery/token").split() == ["joinery", "600"]
    leases = items(sandbox.api, paths.leases("joinery-system"))
    assert any(x["metadata"]["name"] == "joinery" for x in leases)
    pid = started.show("joinery", "MainPID")["MainPID"]
    hidden = started.run("nsenter", "-t", pid, "--mount", "ls", "/etc/kubernetes")
    assert "admin.conf" not in hidden.stdout


def test_it_stops_within_seconds_when_it_is_told_to(started: Machine) -> None:
    began = time.monotonic()
    started.ok("systemctl", "stop", "joinery")
    assert time.monotonic() - began < 15
    assert started.show("joinery", "Result")["Result"] == "success"


def test_it_comes_back_when_it_is_killed(started: Machine) -> None:
    before = started.show("joinery", "MainPID")["MainPID"]
    started.ok("systemctl", "kill", "--signal=KILL", "joinery")
    started.wait("another", lambda: active(started) and started.show("joinery", "MainPID")["MainPID"] != before, 60)


def test_a_daemon_that_makes_no_progress_is_ended_by_the_watchdog(started: Machine) -> None:
    before = started.show("joinery", "MainPID")["MainPID"]
    started.ok("systemctl", "kill", "--signal=STOP", "--kill-whom=main", "joinery")
    started.wait("the watchdog", lambda: int(started.show("joinery", "NRestarts")["NRestarts"]) > 0, 60)
    started.wait("another", lambda: active(started) and started.show("joinery", "MainPID")["MainPID"] != before, 60)


def test_the_timers_service_rotates_a_token_without_the_daemon(machine: Machine, sandbox: Sandbox) -> None:
    machine.run("systemctl", "stop", "joinery")
    machine.ok("systemctl", "start", "joinery-token-rotate")
    assert machine.show("joinery-token-rotate", "Result")["Result"] == "success"
    labels = {"labelSelector": "app.kubernetes.io/managed-by=joinery"}
    assert items(sandbox.api, paths.secrets("kube-system"), labels)


def test_the_timer_knows_when_it_is_due(machine: Machine) -> None:
    machine.ok("systemctl", "start", "joinery-token-rotate.timer")
    about = machine.show(
        "joinery-token-rotate.timer", "ActiveState", "NextElapseUSecMonotonic", "NextElapseUSecRealtime"
    )
    assert about["ActiveState"] == "active"
    assert any(about[name] not in {"", "0", "infinity"} for name in about if name.startswith("Next"))
