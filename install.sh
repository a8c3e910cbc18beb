#!/bin/bash
# Installs Joinery on a control-plane node, or brings it to another version. May be repeated: what is there stays.
#
#   install.sh --wheel joinery_agent-VERSION-py3-none-any.whl [--cluster NAME --region REGION]
#
# docs/install.md says what it does and how it is removed.
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wheel='' cluster='' region='' python='' start=yes dry=''

usage() {
  cat <<'END'
Usage: install.sh --wheel FILE [options]

  --wheel FILE       the wheel to install
  --cluster NAME     clusterName, for a machine without /etc/joinery/agent.yaml
  --region REGION    AWS region, likewise
  --python PROGRAM   a Python of 3.11 or newer to use; found or installed otherwise
  --no-start         leave the services as they are
  --dry-run          say what would be done, and do nothing
  -h, --help
END
}

say() {
  echo "joinery: $*"
}

fail() {
  echo "joinery: $*" >&2
  exit 1
}

# run COMMAND…: or say it, in a dry run.
run() {
  if [ -n "$dry" ]; then
    say "would run: $*"
  else
    "$@"
  fi
}

while [ "$#" -gt 0 ]; do
  case "$1" in
    --wheel | --cluster | --region | --python)
      [ "$#" -gt 1 ] || fail "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --no-start) start='' ;;
    --dry-run) dry=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 64
      ;;
  esac
  shift
done

[ -n "$wheel" ] || fail "name the wheel: --wheel joinery_agent-VERSION-py3-none-any.whl"
[ -f "$wheel" ] || fail "there is no file $wheel"
name=${wheel##*/}
[[ $name =~ ^joinery_agent-([A-Za-z0-9.!+]+)-py3-none-any\.whl$ ]] ||
  fail "$name is not named as a wheel of Joinery is: joinery_agent-VERSION-py3-none-any.whl"
version=${BASH_REMATCH[1]}
settings=/etc/joinery/agent.yaml
if [ ! -e "$settings" ]; then
  if [ -z "$cluster" ] || [ -z "$region" ]; then
    fail "there is no $settings yet; give --cluster NAME and --region REGION"
  fi
  [[ $cluster =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "a cluster's name is of letters, digits, dots and dashes: $cluster"
  [[ $region =~ ^[a-z]{2,}(-[a-z]+)+-[0-9]+$ ]] || fail "this is no AWS region such as ap-northeast-2: $region"
fi
for part in systemd/joinery.service systemd/sysusers.d/joinery.conf requirements-runtime.lock; do
  [ -f "$here/$part" ] || fail "$here/$part is missing; run this in a clone, or where the wheel was unpacked"
done
[ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root"
command -v systemctl >/dev/null || fail "this machine has no systemd"

# Python: one that is there, else the distribution's own package. No other source is ever added.
new_enough() {
  command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# One of a person's home is out of the daemon's reach: its unit has ProtectHome.
complete() {
  new_enough "$1" &&
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.base_prefix.startswith(("/root/", "/home/")))' 2>/dev/null
}

find_python() {
  local found
  for found in python3.14 python3.13 python3.12 python3.11 python3; do
    if complete "$found"; then
      python=$found
      return 0
    fi
  done
  return 1
}

# The packages that bring one, and whose they are, by distribution.
package_of() {
  case "$1" in
    ubuntu-22.04) source="Ubuntu's archive, component universe" packages=(python3.11 python3.11-venv) ;;
    ubuntu-24.04 | ubuntu-2[5-9].* | debian-12 | debian-13) source="the distribution's archive" packages=(python3 python3-venv) ;;
    amzn-2023*) source="Amazon Linux 2023's repository" packages=(python3.11) ;;
    rhel-9* | rocky-9* | almalinux-9* | centos-9* | ol-9*) source="the distribution's AppStream repository" packages=(python3.11) ;;
    *) return 1 ;;
  esac
}

os_release() {
  sed -nE "s/^$1=\"?([^\"]*)\"?$/\1/p" /etc/os-release
}

install_python() {
  local os source packages
  os="$(os_release ID)-$(os_release VERSION_ID)"
  package_of "$os" ||
    fail "no Python of 3.11 or newer was found, and for $os no package is known here; install one and name it: --python PROGRAM"
  say "no Python of 3.11 or newer with venv is here; ${packages[*]} come from $source"
  if command -v apt-get >/dev/null; then
    run apt-get update
    run env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
  else
    run dnf install -y "${packages[@]}"
  fi
}

if [ -n "$python" ]; then
  complete "$python" || fail "$python is no Python of 3.11 or newer with the modules venv and ensurepip, outside of /root and /home"
elif ! find_python; then
  install_python
  if [ -n "$dry" ]; then
    python=python3.11
  else
    find_python || fail "the packages were installed, and still there is no Python of 3.11 or newer with venv"
  fi
fi
say "Python: $(command -v "$python" || echo "$python") $("$python" -c 'import platform; print(platform.python_version())' 2>/dev/null || true)"

# A release is a folder that is never changed once it is whole, so that going back is a matter of one link.
checksum=$(sha256sum "$wheel")
release=/opt/joinery/releases/$version-${checksum:0:8}
changed=''

make_release() {
  run rm -rf "$release"
  run install -d -m 0755 /opt/joinery/releases
  run "$python" -m venv "$release"
  # The versions that were tested, by their hashes; then the program, which brings nothing more.
  run "$release/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements-runtime.lock"
  run "$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheel"
  run touch "$release/.whole"
}

if [ -e "$release/.whole" ]; then
  say "release: $release is there"
else
  say "release: $release"
  make_release
fi

link() {
  [ "$(readlink "$2" || true)" != "$1" ] || return 0
  [ ! -e "$2" ] || [ -L "$2" ] || fail "$2 is no link; move it away first"
  run ln -sfn "$1" "$2.new"
  run mv -T "$2.new" "$2"
  changed=yes
}
was=$(readlink /opt/joinery/venv || true)
link "$release" /opt/joinery/venv
link /opt/joinery/venv/bin/joinery /usr/local/bin/joinery
[ -z "$was" ] || [ "$was" = "$release" ] || say "before: $was; to go back: docs/operations.md"

# put SOURCE TARGET: a file, when it is not there or differs.
put() {
  if ! cmp -s "$1" "$2"; then
    run install -D -m 0644 "$1" "$2"
    changed=yes
  fi
}
put "$here/systemd/sysusers.d/joinery.conf" /etc/sysusers.d/joinery.conf
put "$here/systemd/tmpfiles.d/joinery.conf" /etc/tmpfiles.d/joinery.conf
run systemd-sysusers /etc/sysusers.d/joinery.conf
run systemd-tmpfiles --create /etc/tmpfiles.d/joinery.conf
for unit in joinery.service joinery-token-rotate.service joinery-token-rotate.timer; do
  put "$here/systemd/$unit" "/etc/systemd/system/$unit"
done
run systemctl daemon-reload

if [ ! -e "$settings" ]; then
  say "settings: $settings for cluster $cluster in $region"
  if [ -z "$dry" ]; then
    printf 'clusterName: %s\nregion: %s\n' "$cluster" "$region" | install -D -m 0644 /dev/stdin "$settings"
  fi
else
  say "settings: $settings is there and stays"
fi

if [ -z "$dry" ] && [ ! -e /etc/kubernetes/admin.conf ]; then
  say "this machine has no /etc/kubernetes/admin.conf, so the cluster's part and the start are left to one that has"
  start=''
else
  run env KUBECONFIG=/etc/kubernetes/admin.conf /opt/joinery/venv/bin/joinery install
fi
if [ -n "$start" ]; then
  run systemctl enable joinery.service joinery-token-rotate.timer
  run systemctl start joinery-token-rotate.timer
  if [ -n "$changed" ]; then
    run systemctl restart joinery.service
  else
    run systemctl start joinery.service
  fi
fi
say "Joinery $version is installed. Look: joinery check"
