#!/bin/bash
# Makes this instance a node of the cluster named below. Nothing in this file is secret.
set -Eeuo pipefail
umask 077
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C.UTF-8

run=/run/joinery
log=/var/log/joinery/bootstrap.log
shown=$log
phase=begin
reason=
mkdir -p "$run" /etc/joinery /var/lib/joinery /var/log/joinery
exec 3>&1 >>"$log" 2>&1

phase() {
  phase=$1
  echo "joinery: phase=$1"
  echo "joinery: phase=$1" >&3
}

fail() {
  reason=$1
  exit 1
}

# Instances are launched so that a shutdown from within terminates them: a machine that cannot join costs nothing.
finish() {
  local status=$?
  trap - EXIT ERR
  find "$run" -type f -exec shred -u {} + || true
  if [ "$status" -ne 0 ]; then
    sleep 0.2
    tail -n 15 "$shown" | sed 's/^/joinery: log: /' >&3 || true
    reason="phase=failed at=$phase status=$status reason=$reason"
    echo "joinery: $reason"
    echo "joinery: $reason" >&3
    sync
    poweroff
  fi
  exit "$status"
}
trap 'reason=${reason:-"line $LINENO: $BASH_COMMAND"}' ERR
trap finish EXIT

# put FILE: standard input becomes a file that everybody may read.
put() {
  install -D -m 0644 /dev/stdin "$1"
}

grep -v '^# joinery:join-facts' >/etc/joinery/join-facts.json <<'JOINERY_JOIN_FACTS'
# joinery:join-facts begin
{
  "cluster": "demo",
  "region": "ap-northeast-2",
  "endpoint": "10.0.0.10:6443",
  "caCertHashes": [
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
  ],
  "tokenParameter": "/joinery/demo/bootstrap-token",
  "kubernetesVersion": "v1.36.3"
}
# joinery:join-facts end
JOINERY_JOIN_FACTS

cat >"$run/instance.py" <<'JOINERY_INSTANCE_PY'

import hashlib
import hmac
import http.client
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from urllib.parse import urlsplit

IMDS = (os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254").rstrip("/") + "/latest/"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FAILURES = (OSError, http.client.HTTPException, ValueError, LookupError)

def metadata(path):
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
    ask = urllib.request.Request(IMDS + "api/token", method="PUT", headers=ttl)
    with DIRECT.open(ask, timeout=5) as answer:
        session = {"X-aws-ec2-metadata-token": answer.read().decode()}
    with DIRECT.open(urllib.request.Request(IMDS + "meta-data/" + path, headers=session), timeout=5) as answer:
        return answer.read().decode()

def signed(url, region, body, credentials, now, action="GetParameter"):
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": stamp,
        "x-amz-security-token": credentials["Token"],
        "x-amz-target": "AmazonSSM." + action,
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", urlsplit(url).path, "", *lines, "", names, digest])
    scope = f"{stamp[:8]}/{region}/ssm/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), "sha256").digest()
    who = f"Credential={credentials['AccessKeyId']}/{scope}, SignedHeaders={names}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {who}, Signature={key.hex()}"}

def call(region, action, request):
    role = metadata("iam/security-credentials/").split()[0]
    credentials = json.loads(metadata("iam/security-credentials/" + role))
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = (os.environ.get("AWS_ENDPOINT_URL_SSM") or f"https://ssm.{region}.{suffix}").rstrip("/") + "/"
    body = json.dumps(request).encode()
    headers = signed(url, region, body, credentials, datetime.now(timezone.utc), action)
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return json.load(answer)

def parameter(region, name):
    return call(region, "GetParameter", {"Name": name, "WithDecryption": True})["Parameter"]["Value"]

def reason(error):
    if isinstance(error, urllib.error.HTTPError):
        said = re.search(rb'"__type": *"(?:[^"]*#)?(\w+)"', error.read())
        return f"HTTP {error.code} {said[1].decode() if said else error.reason}"
    return f"{type(error).__name__} {error}"

def patiently(ask, what, seconds, pause):
    end, said = time.monotonic() + seconds, ""
    while True:
        try:
            return ask()
        except FAILURES as error:
            why = reason(error)
        if why != said:
            sys.stderr.write(f"joinery: waiting for {what}: {why}\n")
        if time.monotonic() > end:
            sys.exit(f"joinery: no {what} within {seconds} s: {why}")
        said = why
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, 15)

def token_of(facts):
    value = parameter(facts["region"], facts["tokenParameter"])
    if not re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", value):
        raise ValueError("the parameter holds no bootstrap token")
    return value

def main(command, *arguments):
    if command == "identity":
        seconds, pause = map(float, arguments)
        paths = ("instance-id", "placement/availability-zone", "local-hostname")
        print(*patiently(lambda: [metadata(path) for path in paths], "instance metadata", seconds, pause))
        return
    folder, seconds, pause, *join = arguments
    with open("/etc/joinery/join-facts.json") as file:
        facts = json.load(file)
    token = patiently(lambda: token_of(facts), facts["tokenParameter"], float(seconds), float(pause))
    texts = {"token": token, "redact.sed": f"s/{token.replace('.', '[.]')}/[token]/g\ns/{token[7:]}/[secret]/g\n"}
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)

if __name__ == "__main__":
    main(*sys.argv[1:])
JOINERY_INSTANCE_PY
cat >/var/lib/joinery/user-data <<'JOINERY_8f7706307515'
#!/bin/bash
set -ex
apt-get update
apt-get install -y containerd kubelet kubeadm kubectl
containerd config default > /etc/containerd/config.toml
systemctl restart containerd
kubeadm join ${CLUSTER_ENDPOINT}:6443 \
  --token ${BOOTSTRAP_TOKEN} \
  --discovery-token-ca-cert-hash sha256:${CA_CERT_HASH}
JOINERY_8f7706307515
chmod 0700 /var/lib/joinery/user-data

phase identity
identity=$(python3 "$run/instance.py" identity 600 2 2>&3)
read -r instance_id zone private_dns <<<"$identity"
node_name=$instance_id
echo "joinery: node=$node_name zone=$zone dns=$private_dns" >&3

phase system
hostnamectl set-hostname "$node_name"
echo 'preserve_hostname: true' | put /etc/cloud/cloud.cfg.d/90-joinery.cfg
swapoff -a
[ ! -e /etc/fstab ] || sed -i -E '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab
printf 'overlay\nbr_netfilter\n' | put /etc/modules-load.d/90-joinery.conf
modprobe -a overlay br_netfilter
put /etc/sysctl.d/90-joinery.conf <<'END'
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
net.ipv4.ip_forward = 1
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
vm.overcommit_memory = 1
kernel.panic = 10
kernel.panic_on_oops = 1
END
sysctl --system
install -d -m 0755 /etc/containerd

kubelet_args="--provider-id=aws:///$zone/$instance_id --register-with-taints=karpenter.sh/unregistered:NoExecute"
kubelet=$(command -v kubelet || echo /usr/bin/kubelet)
put /etc/systemd/system/kubelet.service.d/90-joinery.conf <<END
[Service]
Environment="JOINERY_KUBELET_ARGS=$kubelet_args"
ExecStart=
ExecStart=$kubelet \$KUBELET_KUBECONFIG_ARGS \$KUBELET_CONFIG_ARGS \$KUBELET_KUBEADM_ARGS \$KUBELET_EXTRA_ARGS \$JOINERY_KUBELET_ARGS
END
systemctl daemon-reload

# The kubelet must not be newer than the API server, so packages are taken from the cluster's own minor version.
phase source
minor=1.36
release=1.36.3
has_kubeadm() {
  command -v kubeadm && command -v kubelet && [[ $(kubeadm version -o short) == "v$minor".* ]]
}
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service \
  unattended-upgrades.service || true
echo 'DPkg::Lock::Timeout "300";' | put /etc/apt/apt.conf.d/90-joinery
put /etc/apt/preferences.d/90-joinery <<END
Package: kubelet kubeadm kubectl
Pin: version $release-*
Pin-Priority: 1000

Package: kubelet kubeadm kubectl
Pin: version $minor.*
Pin-Priority: 995
END
repository="pkgs.k8s.io/core:/stable:/v$minor/deb/"
if ! has_kubeadm && ! grep -qrsF "${repository%deb/}" /etc/apt/sources.list /etc/apt/sources.list.d && ! grep -qF pkgs.k8s.io /var/lib/joinery/user-data; then
  key=/etc/apt/keyrings/joinery-kubernetes.asc
  curl -fsSL --retry 8 --retry-all-errors --connect-timeout 10 "https://${repository}Release.key" | put "$key"
  echo "deb [signed-by=$key] https://$repository /" | put /etc/apt/sources.list.d/joinery-kubernetes.list
fi

# containerd_config true|false [SANDBOX-IMAGE]: writes the tables of the version that is installed; those of the
# other are ignored without a word.
containerd_config() {
  local systemd=$1 sandbox=${2:-} cri=io.containerd.grpc.v1.cri major
  major=$(containerd --version | sed -nE 's/.* v?([0-9]+)\.[0-9]+\.[0-9]+.*/\1/p')
  {
    if [ "$major" -ge 2 ]; then
      cri=io.containerd.cri.v1.runtime
      printf 'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\n'
      printf 'config_path = "/etc/containerd/certs.d"\n'
      [ -z "$sandbox" ] ||
        printf '[plugins."io.containerd.cri.v1.images".pinned_images]\nsandbox = "%s"\n' "$sandbox"
    else
      printf 'version = 2\n[plugins."%s"]\n' "$cri"
      [ -z "$sandbox" ] || printf 'sandbox_image = "%s"\n' "$sandbox"
      printf '[plugins."%s".registry]\nconfig_path = "/etc/containerd/certs.d"\n' "$cri"
    fi
    printf '[plugins."%s".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n' "$cri"
    printf '[plugins."%s".containerd.runtimes.runc.options]\nSystemdCgroup = %s\n' "$cri" "$systemd"
  } | put /etc/containerd/config.toml
}

# Kubelet and containerd must agree on who makes cgroups, or pods fail on a node that looks well.
match_cgroup_driver() {
  local systemd=false config=/etc/containerd/config.toml
  command -v containerd || return 0
  ! grep -Eqs '^cgroupDriver: *"?systemd' /var/lib/kubelet/config.yaml || systemd=true
  if ! grep -qs SystemdCgroup "$config"; then
    containerd_config "$systemd"
  elif grep -Eq "SystemdCgroup *= *$([ "$systemd" = true ] && echo false || echo true)" "$config"; then
    sed -i -E "s/(SystemdCgroup *= *)(true|false)/\1$systemd/" "$config"
  else
    return 0
  fi
  systemctl restart containerd
}

phase token
python3 "$run/instance.py" token "$run" 600 2 2>&3 || fail "no bootstrap token"

phase user-script
shown=/var/log/joinery/user-data.log
status=0
(
  umask 022
  export CLUSTER_ENDPOINT=10.0.0.10 CA_CERT_HASH=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa BOOTSTRAP_TOKEN
  BOOTSTRAP_TOKEN=$(<"$run/token")
  exec /var/lib/joinery/user-data 3>&- </dev/null
) > >(sed -u -f "$run/redact.sed" >>"$shown") 2>&1 || status=$?
[ "$status" -eq 0 ] || fail "the user's script ended with status $status"
[ -s /etc/kubernetes/kubelet.conf ] || fail "the user's script ended well, but this machine did not join"

match_cgroup_driver
phase joined
