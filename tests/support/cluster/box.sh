# Runs as pid 1 of a node's box: private mount, pid and network namespaces (see node.py). Environment: D (its folder),
# N (its number), PROGRAMS_NODE, PROGRAMS_CONTAINERD, KUBECTL, IMAGES (archives to import), CNI (plugins).
set -eu
cd "$D"; rm -f ready
mount --make-rslave /; mount --make-rshared /
# /sys of this network namespace, with the machine's cgroups in it.
mkdir -p cg && mount --rbind /sys/fs/cgroup cg && mount -t sysfs sysfs /sys && mount --rbind cg /sys/fs/cgroup
mount -t tmpfs tmpfs /run/containerd
mount --bind kubelet /var/lib/kubelet; mount --bind log/pods /var/log/pods; mount --bind log/containers /var/log/containers
# The kubelet sets these for the whole machine; here it writes to files of its own instead.
fake() { mkdir -p sysctl; echo "$2" > "sysctl/${1//\//.}"; mount --bind "sysctl/${1//\//.}" "/proc/sys/$1"; }
fake vm/overcommit_memory 1; fake kernel/panic 10; fake kernel/panic_on_oops 1; fake vm/panic_on_oom 0
fake kernel/keys/root_maxkeys 1000000; fake kernel/keys/root_maxbytes 25000000
ip link set lo up; ip addr add "10.240.$N.2/30" dev eth0; ip link set eth0 up
echo 1 > /proc/sys/net/ipv4/ip_forward     # of this network namespace only
run() { local name=$1; shift; "$@" >"$name.log" 2>&1 & }
ctr() { "$PROGRAMS_CONTAINERD/ctr" -a /run/containerd/containerd.sock "$@"; }
run containerd "$PROGRAMS_CONTAINERD/containerd" -c containerd.toml
while ! ctr version >/dev/null 2>&1; do sleep 0.1; done
for archive in $IMAGES; do ctr -n k8s.io images import --local "$archive"; done
run kubelet "$PROGRAMS_NODE/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override=node1 \
  --node-ip="10.240.$N.2" --v=2
run kube-proxy "$PROGRAMS_NODE/kube-proxy" --proxy-mode=nftables --kubeconfig=kubeconfig --hostname-override=node1 \
  --cluster-cidr="10.244.$N.0/24" --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
  --conntrack-tcp-timeout-close-wait=0
while ! "$KUBECTL" --kubeconfig kubeconfig wait --for=condition=Ready node/node1 --timeout=5s >/dev/null 2>&1; do
  sleep 0.1
done
: > ready
while :; do wait; sleep 3600 & wait -n || true; done
