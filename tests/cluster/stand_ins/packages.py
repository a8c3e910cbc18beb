"""Stands in for apt-get, apt, apt-mark, dpkg, dpkg-query, dnf, yum and rpm: pretends packages, downloads nothing.

It is as strict as the real ones in what a node's script can get wrong: Kubernetes' packages are there only once a
package source of the right minor version was written, with its key, and the lists were read after that.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.stand_ins import calls

SOURCES = ("/etc/apt/sources.list.d/*", "/etc/yum.repos.d/*.repo")
KUBERNETES = ("kubelet", "kubeadm", "kubectl")
WITH_VALUE = {"-o", "-t", "-c", "--option", "--target-release", "--config-file", "-f", "--showformat"}
RPM_FAMILY = {"dnf", "yum", "rpm"}


def version_of(package: str) -> str:
    """The version of a package; Kubernetes' own are the cluster's."""
    release = calls.machine()["kubernetes_version"].removeprefix("v")
    return {**dict.fromkeys(KUBERNETES, f"{release}-1.1"), "containerd": "1.7.28-0ubuntu1"}.get(package, "1.0-1")


def source_texts() -> list[str]:
    """The package sources that the script has written."""
    paths = [path for pattern in SOURCES for path in Path("/").glob(pattern.lstrip("/"))]
    return [path.read_text() for path in paths if path.is_file()]


def kubernetes_source() -> bool:
    """Whether one of them serves the cluster's minor version."""
    minor = calls.machine()["kubernetes_version"].rpartition(".")[0]
    return any(f"core:/stable:/{minor}/" in text for text in source_texts())


def update() -> int:
    """Reads the package lists; a source whose key file is missing is refused, as apt refuses it."""
    for text in source_texts():
        for key in re.findall(r"signed-by[=:]\s*([^]\s]+)", text, re.IGNORECASE):
            if not Path(key).is_file() or not Path(key).stat().st_size:
                print(f"E: The repository is not signed: no public key in {key}.", file=sys.stderr)
                return 100
    if kubernetes_source():
        calls.add_line("package-lists", "kubernetes")
    return 0


def refusal(name: str, wanted: str) -> str | None:
    """Why a package cannot be installed, or None."""
    if name in KUBERNETES and "kubernetes" not in calls.lines("package-lists"):
        return f"E: Unable to locate package {name}"
    if wanted and not fnmatch.fnmatch(version_of(name), wanted):
        return f"E: Version '{wanted}' for '{name}' was not found"
    return None


def install(words: list[str], *, checked: bool = True) -> int:
    """Installs packages: their commands and units appear, and the services that a package starts run."""
    wanted = [word.partition("=")[::2] for word in words]
    refusals = [reason for name, version in wanted if checked and (reason := refusal(name, version))]
    if refusals:
        print("\n".join(refusals), file=sys.stderr)
        return 100
    for name, _ in wanted:
        installed = f"{name}={version_of(name)}"
        if installed not in calls.lines("installed"):
            calls.add_line("installed", installed)
            unpack(name)
            print(f"Setting up {name} ({version_of(name)}) ...")
    return 0


def unpack(name: str) -> None:
    """Puts the files of a package in place."""
    folder = calls.STATE / "packages" / name
    if folder.is_dir():
        subprocess.run(["cp", "-r", f"{folder}/.", "/"], check=True)
    for unit in folder.glob("usr/lib/systemd/system/*.service"):
        calls.add_line("enabled", unit.name)
        # containerd's package starts its service; the kubelet's only enables it: it has nothing to run with yet.
        if name == "containerd":
            subprocess.run(["systemctl", "start", unit.name], check=True)


def query(name: str, arguments: list[str]) -> int:
    """`dpkg -s`, `dpkg -l`, `dpkg-query -W` and `rpm -q` of pretended packages."""
    installed = dict(line.split("=", 1) for line in calls.lines("installed"))
    names = plain(arguments) or list(installed)
    for package in names:
        if package not in installed:
            print(f"{name}: package '{package}' is not installed", file=sys.stderr)
            return 1
        print(f"Package: {package}\nStatus: install ok installed\nVersion: {installed[package]}")
    return 0


def plain(arguments: list[str]) -> list[str]:
    """The arguments without options and the values of options."""
    followed = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in followed if not word.startswith("-") and before not in WITH_VALUE]


def main() -> int:
    """Does what the one of the commands that was called would do."""
    name, arguments = calls.called()
    if "--print-architecture" in arguments:
        print(calls.machine()["architecture"])
        return 0
    if name in {"dpkg-query", "rpm"} or (name == "dpkg" and {"-s", "-l", "--status", "--list"} & set(arguments)):
        return query(name, arguments)
    verb, *words = plain(arguments) or [""]
    if verb in {"update", "makecache"}:
        return update()
    if verb == "install":
        if name in RPM_FAMILY:
            update()
            words = [re.sub(r"^([a-z-]+?)-(\d.*)$", r"\1=\2*", word) for word in words]
        return install(words, checked="--preinstalled" not in arguments)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
