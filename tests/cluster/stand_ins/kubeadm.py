"""Runs the real kubeadm, with what several nodes on one machine need added to `kubeadm join`.

That is: kubelet ports of the node's own, thresholds that do not look at the machine below, short timeouts, and leave
for those preflight checks that see the machine below. A join by flags is put into a configuration file first: some of
this has no flag, and kubeadm refuses to mix the two.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.stand_ins import calls

Document = dict[str, Any]

TIMEOUTS = {"discovery": "10s", "tlsBootstrap": "30s", "kubeletHealthCheck": "30s"}
# Flags with a value that become fields of the JoinConfiguration; all others are kubeadm's to judge.
FIELDS = {
    "--token": ("discovery", "bootstrapToken", "token"),
    "--discovery-token": ("discovery", "bootstrapToken", "token"),
    "--tls-bootstrap-token": ("discovery", "tlsBootstrapToken"),
    "--discovery-token-ca-cert-hash": ("discovery", "bootstrapToken", "caCertHashes"),
    "--discovery-file": ("discovery", "file", "kubeConfigPath"),
    "--node-name": ("nodeRegistration", "name"),
    "--cri-socket": ("nodeRegistration", "criSocket"),
    "--ignore-preflight-errors": ("nodeRegistration", "ignorePreflightErrors"),
    "--patches": ("patches", "directory"),
    "--skip-phases": ("skipPhases",),
}
LISTS = {"caCertHashes", "ignorePreflightErrors", "skipPhases"}
SWITCHES = {
    "--discovery-token-unsafe-skip-ca-verification": ("discovery", "bootstrapToken", "unsafeSkipCAVerification"),
}


def put(document: Document, path: tuple[str, ...], value: object) -> None:
    """Sets a nested field; adds to one that holds a list."""
    for key in path[:-1]:
        document = document.setdefault(key, {})
    if path[-1] in LISTS:
        document.setdefault(path[-1], []).extend(str(value).split(","))
    else:
        document[path[-1]] = value


def by_flags(arguments: list[str]) -> tuple[Document, list[str]]:
    """The JoinConfiguration that the flags of a join stand for, and the flags that are left."""
    document: Document = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration"}
    left: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in FIELDS:
            put(document, FIELDS[flag], value if equals else next(words))
        elif flag in SWITCHES:
            put(document, SWITCHES[flag], value != "false")
        elif re.fullmatch(r"[^-].*:\d+", word):
            put(document, ("discovery", "bootstrapToken", "apiServerEndpoint"), word)
        else:
            left.append(word)
    return document, left


def by_file(arguments: list[str]) -> tuple[list[Document], list[str]] | None:
    """The documents of the `--config` file and the flags beside it, or None without one."""
    for index, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag == "--config":
            path = value if equals else arguments[index + 1]
            documents = [found for found in yaml.safe_load_all(Path(path).read_text()) if found]
            return documents, arguments[:index] + arguments[index + (1 if equals else 2) :]
    return None


def patches(existing: str | None) -> str:
    """A folder with the caller's patches and ours."""
    folder = Path(tempfile.mkdtemp(prefix="kubeadm-patches-"))
    if existing:
        shutil.copytree(existing, folder, dirs_exist_ok=True)
    # Sorted after whatever the caller patches, so that the ports hold.
    path = folder / "kubeletconfiguration99+merge.yaml"
    path.write_text(yaml.safe_dump(calls.machine()["kubelet_patch"]))
    return str(folder)


def adapt(document: Document) -> None:
    """Adds what the node needs to a JoinConfiguration."""
    put(document, ("nodeRegistration", "ignorePreflightErrors"), ",".join(calls.machine()["ignored_preflight"]))
    document["patches"] = {"directory": patches(document.get("patches", {}).get("directory"))}
    if document["apiVersion"].endswith("v1beta3"):
        document["discovery"].setdefault("timeout", TIMEOUTS["discovery"])
    else:
        document["timeouts"] = {**TIMEOUTS, **document.get("timeouts", {})}


def join(arguments: list[str]) -> list[str]:
    """The arguments of the real `kubeadm join`."""
    found = by_file(arguments)
    if found is None:
        document, left = by_flags(arguments)
        documents = [document]
    else:
        documents, left = found
    for document in documents:
        if document.get("kind") == "JoinConfiguration":
            adapt(document)
    descriptor, path = tempfile.mkstemp(prefix="kubeadm-join-", suffix=".yaml")
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump_all(documents, file)
    return ["join", "--config", path, *left]


def main() -> None:
    """Becomes the real kubeadm."""
    _, arguments = calls.called()
    if arguments[:1] == ["join"]:
        arguments = join(arguments[1:])
    sys.stdout.flush()
    os.execv(calls.machine()["kubeadm"], ["kubeadm", *arguments])


if __name__ == "__main__":
    main()
