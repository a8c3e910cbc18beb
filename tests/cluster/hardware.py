"""What a kubelet sees of an instance type: files that are mounted over the machine's own in /proc and /sys.

The kubelet takes a node's capacity from /sys/devices/system/node and /proc/meminfo. The kernel settings among them are
what a node's script and the kubelet write to; each instance has its own, and the machine's stay as they are.
"""

from __future__ import annotations

from pathlib import Path

# A plain image's values. The kubelet sets the first five to its own, kubeadm's preflight wants ip_forward at 1.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "0",
    "kernel/panic": "0",
    "kernel/panic_on_oops": "0",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
    "net/ipv4/ip_forward": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
}

CPUINFO = """\
processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Virtual CPU
cpu MHz\t\t: 2500.000
physical id\t: 0
siblings\t: {count}
core id\t\t: {number}
cpu cores\t: {count}

"""


def write(folder: Path, vcpus: int, memory_bytes: int) -> list[str]:
    """Writes the files below `folder` under their absolute paths; returns those of them to mount over."""
    kib = memory_bytes // 1024
    meminfo = {"MemTotal": kib, "MemFree": kib * 9 // 10, "MemAvailable": kib * 9 // 10}
    meminfo |= dict.fromkeys(("Buffers", "Cached", "SwapTotal", "SwapFree"), 0)
    memory_text = "".join(f"{name + ':':<15} {value:>8} kB\n" for name, value in meminfo.items())
    _put(folder, "/proc/meminfo", memory_text)
    _put(folder, "/proc/cpuinfo", "".join(CPUINFO.format(number=number, count=vcpus) for number in range(vcpus)))
    for key, value in KERNEL_SETTINGS.items():
        _put(folder, f"/proc/sys/{key}", f"{value}\n")

    online = f"0-{vcpus - 1}\n" if vcpus > 1 else "0\n"
    cpus, node = "/sys/devices/system/cpu", "/sys/devices/system/node"
    for name in ("online", "possible", "present"):
        _put(folder, f"{cpus}/{name}", online)
    for name in ("online", "possible", "has_cpu", "has_memory"):
        _put(folder, f"{node}/{name}", "0\n")
    _put(folder, f"{node}/node0/meminfo", f"Node 0 MemTotal: {kib} kB\n")
    _put(folder, f"{node}/node0/distance", "10\n")
    (folder / f"{node}/node0/hugepages".lstrip("/")).mkdir()
    for number in range(vcpus):
        _put(folder, f"{cpus}/cpu{number}/topology/core_id", f"{number}\n")
        _put(folder, f"{cpus}/cpu{number}/topology/physical_package_id", "0\n")
        (folder / f"{node}/node0/cpu{number}".lstrip("/")).symlink_to(f"../../cpu/cpu{number}")
    settings = [f"/proc/sys/{key}" for key in KERNEL_SETTINGS]
    return ["/proc/meminfo", "/proc/cpuinfo", cpus, node, *settings]


def _put(folder: Path, path: str, text: str) -> None:
    target = folder / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
