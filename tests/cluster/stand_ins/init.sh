#!/bin/bash
# Process 1 of one pretended EC2 instance: it has the mount, UTS and PID namespaces of its own that unshare(1) made.
#
#   init.sh NODE_FOLDER
#
# When it ends, the kernel ends every other process of the instance and drops all mounts. It ends when someone inside
# powers the machine off (SIGTERM), and when standard input closes, which also happens when the test process dies.
#
# mount -n throughout: libmount would otherwise note the mounts in the host's /run/mount before /run is our own.
set -euo pipefail

node=$1
. "$node/state/machine.env"

for folder in "${OVERLAID[@]}"; do
    layer=$node/layers$folder
    mkdir -p "$layer/upper" "$layer/work"
    mount -n -t overlay overlay -o "lowerdir=$folder,upperdir=$layer/upper,workdir=$layer/work" "$folder" || {
        echo "init: no overlay over $folder with its upper layer in $node: that folder must not be on an overlay" >&2
        exit 70
    }
done

# Writing any other kernel setting fails instead of reaching the host.
mount -n --bind /proc/sys /proc/sys
mount -n -o remount,bind,ro /proc/sys
while read -r target; do
    [ ! -e "$target" ] || mount -n --bind "$node/faked$target" "$target"
done <"$node/faked/list"

mkdir -p /run/stand-ins
mount -n --bind "$node/state" /run/stand-ins

# The machine below may be a node or a developer's; a fresh instance is neither.
for name in "${ABSENT_COMMANDS[@]}"; do
    rm -f "/usr/bin/$name" "/usr/sbin/$name" "/usr/local/bin/$name" "/usr/local/sbin/$name"
done
rm -rf "${ABSENT_FILES[@]}"
cp "$(command -v curl)" /run/stand-ins/real-curl
for file in "$node"/bin/*; do
    name=${file##*/}
    rm -f "/usr/sbin/$name" "/usr/local/bin/$name" "/usr/local/sbin/$name"
    install -m 0755 "$file" "/usr/bin/$name"
done
cp -r "$node/root/." /

# What must stay visible under the machine's own empty /tmp is mounted into that folder first.
for keep in "${KEPT[@]}"; do
    mkdir -p "$node$keep"
    mount -n --bind "$keep" "$node$keep"
done
mount -n --rbind "$node/tmp" /tmp

hostname "$HOSTNAME_AT_BOOT"
for package in "${PREINSTALLED[@]}"; do
    apt-get install -qq --preinstalled "$package"
done

trap 'exit 0' TERM
exec 3<&0
{
    read -r _ <&3 || true
    kill -TERM $$
} &
keeper=$!

cd /
status=0
env -i "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" LANG=C.UTF-8 \
    "AWS_EC2_METADATA_SERVICE_ENDPOINT=$METADATA" "AWS_ENDPOINT_URL_SSM=$SSM" \
    /run/stand-ins/run-user-data </dev/null 3<&- &
wait $! || status=$?
echo "$status" >/run/stand-ins/exit-status.new
mv /run/stand-ins/exit-status.new /run/stand-ins/exit-status

# The machine stays up after its script, as an instance does.
wait $keeper
