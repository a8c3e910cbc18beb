#!/bin/bash
# A machine with systemd of its own: namespaces, and an overlay over this machine's root, gone when it ends.
set -euo pipefail
folder=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --bind "$2" "$root/mnt"
rm -rf "$root/etc/systemd/system" "$root/etc/joinery" "$root/opt/joinery"
mkdir -p "$root/etc/systemd/system"
printf '[Unit]\nDescription=A machine for a test\n' >"$root/etc/systemd/system/machine.target"
# Not chroot: in one, the kernel makes no user namespaces, which PrivateUsers= needs.
mkdir "$root/before"
cd "$root"
pivot_root . before
umount --lazy /before
exec /usr/bin/env container=test /lib/systemd/systemd \
  --system --unit=machine.target --log-target=console --show-status=no
