"""install.sh in a clean root of each distribution that debootstrap can make, as root: `make test-roots`.

Only systemctl is a stand-in, since nothing runs in such a root. Python, its packages and the cluster's objects are
real.
Amazon Linux and RHEL have no debootstrap; with them the script is tried with stand-ins only (tests/install).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.sim.apiserver import ApiServer

ROOT = Path(__file__).resolve().parents[2]
SYSTEMCTL = '#!/bin/sh\necho "$*" >>/var/log/systemctl-calls\n'
NEEDED = ("install.sh", "requirements-runtime.lock")
SHARED = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""What leads a root of this machine to its mirrors, as far as it is there."""


class Suite(NamedTuple):
    """A distribution as debootstrap knows it."""

    name: str
    mirror: str
    script: str
    components: str
    python: str


SUITES = (
    Suite("bookworm", "http://deb.debian.org/debian", "", "main", "3.11"),
    Suite("jammy", "http://archive.ubuntu.com/ubuntu", "", "main,universe", "3.11"),
    Suite("noble", "http://archive.ubuntu.com/ubuntu", "gutsy", "main,universe", "3.12"),
)


class Tree:
    """A root of a distribution, in which commands run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}
        kept |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        script = 'mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, str(self.folder)]
        return subprocess.run([*inside, *command], env=kept, capture_output=True, text=True, check=False, timeout=900)

    def install(self, *more: str) -> str:
        wheel = next((self.folder / "root/joinery").glob("*.whl")).name
        done = self.run("bash", "/root/joinery/install.sh", "--wheel", f"/root/joinery/{wheel}", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api")) as server:
        yield server


def debootstrapped(suite: Suite, folder: Path) -> Tree:
    program = shutil.which("debootstrap", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.fail("debootstrap is missing; it comes with the Debian package debootstrap")
    options = ["--variant=minbase", f"--components={suite.components}", "--include=systemd,ca-certificates"]
    # Thrown away in a minute, and its packages come from a mirror of this machine's choice.
    words = [suite.name, str(folder), suite.mirror, *([suite.script] if suite.script else [])]
    command = [program, *options, "--no-check-gpg", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    # As on a machine of the distribution: Ubuntu 22.04 has its Python 3.11 among the updates.
    parts = suite.components.replace(",", " ")
    listed = "".join(f"deb {suite.mirror} {name} {parts}\n" for name in (suite.name, f"{suite.name}-updates"))
    (folder / "etc/apt/sources.list").write_text(listed)
    return Tree(folder)


def prepared(tree: Tree, wheel: Path, cluster: ApiServer) -> None:
    for path in SHARED:
        if Path(path).exists():
            target = tree.folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(path, target)
    links = os.environ.get("PIP_FIND_LINKS", "")
    if links.startswith("/") and Path(links).is_dir():
        shutil.copytree(links, tree.folder / links.lstrip("/"), dirs_exist_ok=True)
    home = tree.folder / "root/joinery"
    home.mkdir(parents=True)
    for name in NEEDED:
        shutil.copy(ROOT / name, home)
    shutil.copytree(ROOT / "systemd", home / "systemd")
    shutil.copy(wheel, home)
    systemctl = tree.folder / "usr/bin/systemctl"
    systemctl.unlink(missing_ok=True)
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    (tree.folder / "etc/kubernetes").mkdir()
    cluster.write_kubeconfig(tree.folder / "etc/kubernetes/admin.conf")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_clean_root_gets_joinery(suite: Suite, wheel: Path, cluster: ApiServer, tmp_path: Path) -> None:
    tree = debootstrapped(suite, tmp_path / "root")
    prepared(tree, wheel, cluster)
    said = tree.install("--cluster", "team", "--region", "ap-northeast-2")
    assert f"Python: /usr/bin/python{suite.python}" in said or f"Python: /usr/bin/python3 {suite.python}" in said
    assert tree.run("joinery", "--version").stdout.startswith("joinery, version ")
    assert tree.run("id", "-un", "joinery").stdout.strip() == "joinery"
    with KubeApi.from_kubeconfig(str(cluster.write_kubeconfig(tmp_path / "admin.conf"))) as api:
        assert any(o["metadata"]["name"] == "nodepools.karpenter.sh" for o in items(api, paths.crds()))
    calls = (tree.folder / "var/log/systemctl-calls").read_text().splitlines()
    assert "restart joinery.service" in calls
    again = tree.install()
    assert "is there and stays" in again
    assert (tree.folder / "var/log/systemctl-calls").read_text().splitlines()[-1] == "start joinery.service"
