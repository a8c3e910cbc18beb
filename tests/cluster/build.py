"""Builds the real Kubernetes parts that the cluster tests run: a control plane, kubeadm, a kubelet and two fakes.

They are Go programs of one module (`tools/go.mod`), so that no container runtime, distribution package or downloaded
binary is needed. The result lives outside the tree, under a name that every input goes into: whoever finds the folder
needs no Go at all, and a changed input never meets an old binary.

    python tests/cluster/build.py
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

TOOLS = Path(__file__).resolve().parent / "tools"
GO_VERSION = "1.26"

# The order matters for the clock only: each one reuses what the one before it compiled.
PACKAGES = {
    "fakecri": "./fakecri",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubeadm": "k8s.io/kubernetes/cmd/kubeadm",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "hollow": "./hollow",
}


class BuildError(Exception):
    """The parts are not in the cache and cannot be built here."""


def kubernetes_version() -> str:
    """The version that `tools/go.mod` requires, for instance `v1.36.3`."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", (TOOLS / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{TOOLS / 'go.mod'} requires no version of k8s.io/kubernetes")
    return found[1]


def ldflags() -> str:
    """Stamps the version: kubeadm compares it with the cluster's and refuses the `v0.0.0-master` of a plain build."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "2026-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s", "-w", *(f"-X {p}.{key}={value}" for p in packages for key, value in stamps.items())])


@cache
def bin_dir() -> Path:
    """The folder that holds the binaries of exactly these sources, whether or not they are built yet.

    A run keeps to the sources that it began with, also while somebody edits them.
    """
    digest = hashlib.sha256(f"{GO_VERSION}\n{ldflags()}\n{PACKAGES}\n".encode())
    for source in sorted([TOOLS / "go.mod", TOOLS / "go.sum", *TOOLS.glob("*/*.go")]):
        digest.update(f"{source.relative_to(TOOLS)}\n".encode() + source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "joinery" / "control-plane" / digest.hexdigest()[:16]


def missing() -> list[str]:
    """The names of the binaries that are still to be built."""
    return [name for name in PACKAGES if not (bin_dir() / name).is_file()]


def build_one(go: str, name: str) -> float:
    """Builds one binary under a temporary name and renames it, so that a half-written one is never found."""
    target = bin_dir() / name
    temporary = target.with_name(f".{name}.{os.getpid()}")
    started = time.monotonic()
    # A wrong GOOS or GOFLAGS of the caller must not get into a cache that does not know of them.
    environment = {k: v for k, v in os.environ.items() if k not in {"GOOS", "GOARCH", "GOFLAGS"}}
    environment |= {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    command = [go, "build", "-trimpath", "-ldflags", ldflags(), "-o", str(temporary), PACKAGES[name]]
    done = subprocess.run(command, cwd=TOOLS, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        temporary.unlink(missing_ok=True)
        raise BuildError(f"go build of {name} failed:\n{done.stderr.strip()}")
    temporary.rename(target)
    return time.monotonic() - started


def ensure() -> Path:
    """Returns the folder of the binaries after building those that it lacks; says one line for each one built."""
    names = missing()
    if not names:
        return bin_dir()
    go = shutil.which("go")
    if go is None:
        raise BuildError(
            f"the cluster tests need {', '.join(names)}, which are built from source, and there is no `go`: "
            f"install Go {GO_VERSION} or later (Debian package golang-go, from backports where the release has an "
            "older one), then run: python tests/cluster/build.py"
        )
    bin_dir().mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"{name}: built in {build_one(go, name):.1f} s", flush=True)
    return bin_dir()


if __name__ == "__main__":
    try:
        print(ensure())
    except BuildError as error:
        raise SystemExit(str(error)) from error
