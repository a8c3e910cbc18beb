"""Stands in for sysctl, modprobe, lsmod, swapoff, swapon and nproc, so that the kernel below stays as it is.

Settings that a Kubernetes node must have are files mounted over their place in /proc/sys: what is set can be read back,
also by kubeadm's preflight. All others are only recorded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cluster.stand_ins import calls

SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
MODULE_FOLDERS = ("/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d")
NEEDS_MODULE = {"net/bridge/": "br_netfilter"}


def set_value(key: str, value: str) -> int:
    """Sets one kernel setting, where the module that brings it is loaded."""
    path = key.strip().lstrip("-").replace(".", "/")
    for prefix, module in NEEDS_MODULE.items():
        if path.startswith(prefix) and module not in calls.lines("modules"):
            print(f"sysctl: cannot stat /proc/sys/{path}: No such file or directory", file=sys.stderr)
            return 1
    for line in calls.lines("sysctl"):
        if line.partition(" ")[0] == path:
            calls.remove_line("sysctl", line)
    calls.add_line("sysctl", f"{path} {value.strip()}")
    if f"/proc/sys/{path}" in calls.machine()["settable"]:
        Path("/proc/sys", path).write_text(value.strip() + "\n")
    print(f"{key.strip()} = {value.strip()}")
    return 0


def apply_file(path: Path) -> int:
    """Applies a file of `key = value` lines."""
    worst = 0
    for line in (raw.strip() for raw in path.read_text().splitlines()):
        if "=" in line and line[0] not in "#;":
            worst = max(worst, set_value(*line.split("=", 1)))
    return worst


def files(folders: tuple[str, ...]) -> list[Path]:
    """The files of configuration folders by name; of two with one name the first folder's counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in Path(folder).glob("*.conf"):
            found.setdefault(path.name, path)
    return [found[name] for name in sorted(found) if found[name].is_file()]


def sysctl(arguments: list[str]) -> int:
    """`--system`, `-p FILE`, `-w KEY=VALUE` and reading."""
    words = [word for word in arguments if not word.startswith("-")]
    if "--system" in arguments:
        main_file = Path("/etc/sysctl.conf")
        paths = [*files(SYSCTL_FOLDERS), *([main_file] if main_file.exists() else [])]
        return max([apply_file(path) for path in paths], default=0)
    if any(flag in arguments for flag in ("-p", "--load")):
        return max([apply_file(Path(word)) for word in words or ["/etc/sysctl.conf"]], default=0)
    worst = 0
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            worst = max(worst, set_value(key, value))
        else:
            value = Path("/proc/sys", key.replace(".", "/")).read_text().strip()
            print(value if "-n" in arguments else f"{key} = {value}")
    return worst


def modprobe(arguments: list[str]) -> int:
    """Pretends modules; `--modules-load` does what systemd-modules-load does at boot."""
    names = [word for word in arguments if not word.startswith("-")]
    if "-a" not in arguments and "--all" not in arguments:
        names = names[:1]
    if "--modules-load" in arguments:
        lines = [line.strip() for path in files(MODULE_FOLDERS) for line in path.read_text().splitlines()]
        names = [line for line in lines if line and line[0] not in "#;"]
    for name in names:
        calls.add_line("modules", name.replace("-", "_"))
    return 0


def lsmod(_: list[str]) -> int:
    """Lists the pretended modules."""
    print("Module                  Size  Used by")
    for name in calls.lines("modules"):
        print(f"{name:<23} 32768  0")
    return 0


def nproc(_: list[str]) -> int:
    """The vCPUs of the instance type."""
    print(calls.machine()["vcpus"])
    return 0


def swap(_: list[str]) -> int:
    """Changes nothing: EC2's images have no swap; that it was called is in the record."""
    return 0


COMMANDS = {"sysctl": sysctl, "modprobe": modprobe, "lsmod": lsmod, "nproc": nproc, "swapoff": swap, "swapon": swap}

if __name__ == "__main__":
    called_as, given = calls.called()
    raise SystemExit(COMMANDS[called_as](given))
