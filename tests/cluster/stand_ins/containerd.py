"""Stands in for containerd: prints its default configuration, and serves the fake container runtime as a service."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from tests.cluster.stand_ins import calls

SOCKET = "/run/containerd/containerd.sock"
CONFIG = Path("/etc/containerd/config.toml")
DEFAULT_CONFIG = """\
disabled_plugins = []
imports = []
oom_score = 0
required_plugins = []
root = "/var/lib/containerd"
state = "/run/containerd"
temp = ""
version = 2

[grpc]
  address = "/run/containerd/containerd.sock"
  gid = 0
  uid = 0

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    enable_selinux = false
    enable_unprivileged_icmp = false
    enable_unprivileged_ports = false
    sandbox_image = "registry.example/pause:3.8"

    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/opt/cni/bin"
      conf_dir = "/etc/cni/net.d"

    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
      snapshotter = "overlayfs"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            BinaryName = ""
            Root = ""
            SystemdCgroup = false

    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = ""
"""


def serve() -> None:
    """Becomes the fake runtime, unless the configuration is one that containerd would not start with."""
    if CONFIG.exists():
        config = tomllib.loads(CONFIG.read_text())
        if "cri" in config.get("disabled_plugins", []):
            sys.exit("containerd: the configuration disables the CRI plugin, and kubelets need it")
    Path(SOCKET).parent.mkdir(parents=True, exist_ok=True)
    Path(SOCKET).unlink(missing_ok=True)
    logs = calls.STATE / "containers"
    logs.mkdir(exist_ok=True)
    os.execv(calls.machine()["fakecri"], ["fakecri", SOCKET, str(logs)])


def main() -> None:
    """`--version`, `config default`, `config dump`, or the service."""
    _, arguments = calls.called()
    if "--version" in arguments or "-v" in arguments:
        print("containerd github.com/containerd/containerd 1.7.28")
    elif arguments[:1] == ["config"]:
        print(CONFIG.read_text() if "dump" in arguments and CONFIG.exists() else DEFAULT_CONFIG, end="")
    else:
        serve()


if __name__ == "__main__":
    main()
