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

# A fixed machine that cannot join stays up, so that somebody can look.
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
  fi
  exit "$status"
}
trap 'reason=${reason:-"line $LINENO: $BASH_COMMAND"}' ERR
trap finish EXIT

# put FILE: standard input becomes a file that everybody may read.
put() {
  install -D -m 0644 /dev/stdin "$1"
}

cat >/etc/joinery/machine.json <<'JOINERY_MACHINE'
@JOINERY_MACHINE@
JOINERY_MACHINE

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

def configuration(facts, token, name, kubeadm):
    found = {"token": token, "apiServerEndpoint": facts["endpoint"], "caCertHashes": facts["caCertHashes"]}
    document = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": found},
        "nodeRegistration": {"name": name, "criSocket": "unix:///run/containerd/containerd.sock"},
        "timeouts": {"discovery": "1m0s"},
    }
    if int(kubeadm.split(".")[1]) < 31:
        document["apiVersion"] = "kubeadm.k8s.io/v1beta3"
        document["discovery"]["timeout"] = document.pop("timeouts")["discovery"]
    return json.dumps(document)

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
    if join:
        texts["join.json"] = configuration(facts, token, *join)
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)

if __name__ == "__main__":
    main(*sys.argv[1:])
JOINERY_INSTANCE_PY

lib=/usr/local/lib/joinery
install -D -m 0644 "$run/instance.py" "$lib/instance.py"
put "$lib/control_plane.py" <<'JOINERY_CONTROL_PLANE_PY'
import json
import os
import secrets
import string
import sys
import time

from instance import call, metadata, parameter, patiently

LIFE = 7200
SOCKET = "unix:///run/containerd/containerd.sock"
with open("/etc/joinery/machine.json") as file:
    MACHINE = json.load(file)
REGION, PREFIX = MACHINE["region"], MACHINE["prefix"]

def document(kind, **fields):
    return {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, **fields}

def write(path, *documents):
    with open(path, "w") as file:
        file.write("\n---\n".join(json.dumps(document) for document in documents) + "\n")

def put(name, value, **more):
    request = {"Name": PREFIX + name, "Value": value, "Overwrite": True, **more}
    patiently(lambda: call(REGION, "PutParameter", request), "answer to a write of " + PREFIX + name, 300, 2)

def node():
    address = metadata("local-ipv4")
    return metadata("instance-id"), {"advertiseAddress": address, "bindPort": 6443}

def redact(folder, *words):
    with open(os.path.join(folder, "redact.sed"), "w") as file:
        file.writelines(f"s/{word.replace('.', '[.]')}/[secret]/g\n" for word in words)

def configure(folder, life):
    letters = string.ascii_lowercase + string.digits
    token = ".".join("".join(secrets.choice(letters) for _ in range(size)) for size in (6, 16))
    key = secrets.token_hex(32)
    name, endpoint = patiently(node, "instance metadata", 600, 2)
    default = "system:bootstrappers:kubeadm:default-node-token"
    bootstrap = {
        "token": token,
        "ttl": f"{life}s",
        "groups": [default],
        "usages": ["signing", "authentication"],
        "description": "joins further control-plane machines",
    }
    write(
        os.path.join(folder, "kubeadm.yaml"),
        document(
            "InitConfiguration",
            bootstrapTokens=[bootstrap],
            certificateKey=key,
            localAPIEndpoint=endpoint,
            nodeRegistration={"name": name, "criSocket": SOCKET},
        ),
        document(
            "ClusterConfiguration",
            clusterName=MACHINE["cluster"],
            kubernetesVersion="v" + MACHINE["release"],
            controlPlaneEndpoint=MACHINE["endpoint"],
            networking={"podSubnet": MACHINE["podCidr"], "serviceSubnet": MACHINE["serviceCidr"]},
            apiServer={"certSANs": [MACHINE["endpoint"].rpartition(":")[0], *MACHINE["certificateNames"]]},
        ),
    )
    redact(folder, token, key)
    write(os.path.join(folder, "ticket"), {"token": token, "key": key, "until": int(time.time()) + life})

def publish(folder, authority):
    with open(os.path.join(folder, "ticket")) as file:
        ticket = json.load(file) | {"authority": "sha256:" + authority}
    key = {"KeyId": MACHINE["kmsKey"]} if MACHINE["kmsKey"] else {}
    put("/control-plane/join", json.dumps(ticket), Type="SecureString", **key)

def live():
    ticket = json.loads(parameter(REGION, PREFIX + "/control-plane/join"))
    if ticket["until"] < time.time() + 60:
        raise ValueError("the ticket is over; on a control-plane machine that runs: joinery-control-plane-ticket")
    return ticket

def join(folder, seconds, pause):
    ticket = patiently(live, PREFIX + "/control-plane/join", float(seconds), float(pause))
    name, endpoint = patiently(node, "instance metadata", 600, 2)
    discovery = {
        "token": ticket["token"],
        "apiServerEndpoint": MACHINE["endpoint"],
        "caCertHashes": [ticket["authority"]],
    }
    write(
        os.path.join(folder, "kubeadm.yaml"),
        document(
            "JoinConfiguration",
            controlPlane={"localAPIEndpoint": endpoint, "certificateKey": ticket["key"]},
            discovery={"bootstrapToken": discovery},
            nodeRegistration={"name": name, "criSocket": SOCKET},
        ),
    )
    redact(folder, ticket["token"], ticket["key"])

def role(seconds, pause):
    name = PREFIX + "/control-plane/state"
    state = MACHINE["first"] and patiently(lambda: parameter(REGION, name), name, float(seconds), float(pause))
    print("init" if state == "new" else "join")

def main(command, *rest):
    if command == "value":
        print(MACHINE[rest[0]])
    elif command == "address":
        print(metadata("local-ipv4"))
    elif command == "role":
        role(*rest)
    elif command == "configure":
        configure(rest[0], int(rest[1]) if rest[1:] else LIFE)
    elif command == "initialised":
        put("/control-plane/state", "initialised", Type="String")
    elif command == "publish":
        publish(*rest)
    else:
        join(*rest)

if __name__ == "__main__":
    main(*sys.argv[1:])
JOINERY_CONTROL_PLANE_PY
install -d -m 0755 /opt/joinery /opt/joinery/download
known() {
  python3 "$lib/control_plane.py" "$@" 2>&3
}
release=$(known value release)
kubelet_flags=

phase identity
identity=$(python3 "$run/instance.py" identity 1800 2 2>&3)
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

kubelet_args="--provider-id=aws:///$zone/$instance_id $kubelet_flags"
if provider=$(command -v ecr-credential-provider); then
  put /etc/joinery/ecr-credentials.json <<'END'
{
  "apiVersion": "kubelet.config.k8s.io/v1",
  "kind": "CredentialProviderConfig",
  "providers": [
    {
      "name": "ecr-credential-provider",
      "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
      "matchImages": [
        "*.dkr.ecr.*.amazonaws.com",
        "*.dkr.ecr.*.amazonaws.com.cn"
      ],
      "defaultCacheDuration": "12h"
    }
  ]
}
END
  kubelet_args+=" --image-credential-provider-config=/etc/joinery/ecr-credentials.json"
  kubelet_args+=" --image-credential-provider-bin-dir=${provider%/*}"
fi
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
minor=${release%.*}
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
if ! has_kubeadm && ! grep -qrsF "${repository%deb/}" /etc/apt/sources.list /etc/apt/sources.list.d; then
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

phase packages
install_packages() {
  apt-get update && apt-get install -y "$@"
}
missing=()
command -v containerd || missing+=(containerd)
has_kubeadm || missing+=(kubelet kubeadm kubectl)
if [ -n "${missing[*]}" ]; then
  for try in 1 2 3 4 5 6; do
    ! install_packages "${missing[@]}" || break
    [ "$try" -lt 6 ] || fail "packages cannot be installed"
    sleep $((try * 5))
  done
  apt-mark hold kubelet kubeadm kubectl
fi
has_kubeadm || fail "the package sources have no kubelet and kubeadm $minor"

phase containerd
if ! grep -qs SystemdCgroup /etc/containerd/config.toml; then
  containerd_config true "$(kubeadm config images list --kubernetes-version "v$release" 2>/dev/null | grep /pause: || true)"
fi
systemctl enable containerd kubelet
systemctl restart containerd

install -D -m 0700 /dev/stdin /usr/local/sbin/joinery-control-plane-ticket <<'END'
#!/bin/bash
# Publishes what a further control-plane machine joins with. It lives two hours, and only the control plane's role may
# read it. Root, on a control-plane machine that runs.
set -euo pipefail
umask 077
folder=$(mktemp -d /run/joinery-ticket.XXXXXX)
trap 'find "$folder" -type f -exec shred -u {} +; rmdir "$folder"' EXIT
program=/usr/local/lib/joinery/control_plane.py
python3 "$program" configure "$folder"
kubeadm init phase upload-certs --upload-certs --config "$folder/kubeadm.yaml" >/dev/null
kubeadm token create --config "$folder/kubeadm.yaml" >/dev/null
authority=$(openssl x509 -noout -pubkey -in /etc/kubernetes/pki/ca.crt |
  openssl pkey -pubin -outform DER | sha256sum)
python3 "$program" publish "$folder" "${authority%% *}"
END
kubeadm() {
  command kubeadm "$@" 2>&1 | sed -u -f "$run/redact.sed"
}
download=/opt/joinery/download
# fetched FILE URL [SHA256]: what was downloaded is what was meant.
fetched() {
  if [ "${2#/}" = "$2" ]; then
    curl -fsSL --retry 8 --retry-all-errors --connect-timeout 10 "$2" -o "$1" || return 1
  else
    cp "$2" "$1" || return 1
  fi
  [ -z "${3:-}" ] || echo "$3  $1" | sha256sum -c -
}

install_network() {
  local pods
  pods=$(known value podCidr)
  fetched "$download/network" "$(known value networkSource)" "$(known value networkSha256)" || return 1
  if [ "$network" = cilium ]; then
    tar -xzf "$download/network" -C "$download" cilium || return 1
    "$download/cilium" install --version "$(known value networkVersion)" --set "ipam.operator.clusterPoolIPv4PodCIDRList=$pods"
  else
    [ "$network" != flannel ] || sed -i "s|10\.244\.0\.0/16|$pods|" "$download/network"
    kubectl apply -f "$download/network"
  fi
}
endpoint=$(known value endpoint)
export KUBECONFIG=/etc/kubernetes/admin.conf

phase role
role=$(known role 1800 2) || fail "the state of the control plane cannot be read"
phase "$role"
if [ "$role" = init ]; then
  known configure "$run" 300
  for try in 1 2 3 4 5 6; do
    ! kubeadm config images pull --config "$run/kubeadm.yaml" || break
    [ "$try" -lt 6 ] || fail "the images of the control plane cannot be pulled"
    sleep $((try * 5))
  done
  cp /etc/hosts "$run/hosts"
  address=$(known address)
  echo "$address ${endpoint%:*}" >>/etc/hosts
  kubeadm init --config "$run/kubeadm.yaml" --skip-token-print --skip-certificate-key-print || fail "kubeadm init failed"
  known initialised || fail "the cluster is there, but that cannot be written down"

  phase network
  network=$(known value network)
  for try in 1 2 3 4 5 6; do
    ! install_network || break
    [ "$try" -lt 6 ] || fail "the pod network cannot be installed"
    sleep $((try * 5))
  done

  phase ticket
  /usr/local/sbin/joinery-control-plane-ticket 2>&3 || fail "no ticket for further control-plane machines"
else
  end=$((SECONDS + 2400))
  while :; do
    known join "$run" 1800 2 || fail "no ticket to join with"
    ! kubeadm join --config "$run/kubeadm.yaml" || break
    [ "$SECONDS" -lt "$end" ] || fail "kubeadm join failed until its time was over"
    echo "joinery: kubeadm join failed and is tried again" >&3
    kubeadm reset --force || true
    sleep 2.$((RANDOM % 10))
  done
fi
match_cgroup_driver

wheel=$(known value wheel)
if [ -n "$wheel" ]; then
  phase joinery
  file="$download/${wheel##*/}"
  fetched "$file" "$wheel" "$(known value wheelSha256)" || fail "the wheel of Joinery cannot be had"
  rm -rf /opt/joinery/unpacked
  python3 -m zipfile -e "$file" /opt/joinery/unpacked
  known value settings | put /etc/joinery/agent.yaml
  bash /opt/joinery/unpacked/agent/host/install.sh --wheel "$file" || fail "Joinery cannot be installed"
fi
[ ! -e "$run/hosts" ] || cat "$run/hosts" >/etc/hosts
phase joined
