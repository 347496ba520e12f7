# How each part of the cluster is configured and started. Sourced.
# shellcheck shell=bash

PAUSE_IMAGE=localhost/wharf-cluster/pause:1

# start_parts PART...: launches those that don't run, all at once, and waits until they answer. LAUNCHED has them.
LAUNCHED=()
start_parts() {
  local part mine=()
  mkdir -p "$RUN/pids" "$RUN/logs"
  for part in "$@"; do
    if ! pid_of "$part" >/dev/null; then
      "start_$part"
      mine+=("$part")
    fi
  done
  [ ${#mine[@]} -ne 0 ] || return 0
  for part in "${mine[@]}"; do
    "await_$part"
  done
  LAUNCHED+=("${mine[@]}")
}

start_etcd() {
  # What it holds lives no longer than the cluster: no write has to reach the disk.
  launch etcd "$BINARIES/etcd" --name "$NODE" --data-dir "$DATA/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "$NODE=http://127.0.0.1:$ETCD_PEER_PORT"
}
await_etcd() { wait_for etcd 60 'an answer' http_ok "http://127.0.0.1:$ETCD_PORT/health"; }

# Overlays can't lie on every file system: a container's own root, for one, is often an overlay.
snapshotter() {
  local at=$DATA/overlay-probe
  mkdir -p "$at/lower" "$at/upper" "$at/work" "$at/merged"
  if mount -t overlay overlay -o "lowerdir=$at/lower,upperdir=$at/upper,workdir=$at/work" "$at/merged" 2>/dev/null; then
    umount "$at/merged"
    printf overlayfs
  else
    printf native
  fi
  rm -rf "$at"
}

configure_containerd() {
  mkdir -p "$RUN/registries/$REGISTRY" "$DATA/containerd"
  printf 'server = "http://%s"\n[host."http://%s"]\ncapabilities = ["pull", "resolve"]\n' "$REGISTRY" "$REGISTRY" \
    >"$RUN/registries/$REGISTRY/hosts.toml"
  cat >"$RUN/containerd.toml" <<END
version = 2
root = "$DATA/containerd"
state = "$RUN/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = "$CONTAINERD"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$PAUSE_IMAGE"
stream_server_address = "127.0.0.1"
stream_server_port = "$STREAM_PORT"
netns_mounts_under_state_dir = true
# Without the capability SYS_RESOURCE nobody may lower the score that Kubernetes lowers for pause, and no pod would start.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "$(snapshotter)"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "$RUN/runc"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$(cni_programs)"
conf_dir = "$RUN/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$RUN/registries"
END
}
cni_programs() {
  local folder
  for folder in /usr/lib/cni /opt/cni/bin; do
    if [ -x "$folder/bridge" ]; then
      printf '%s' "$folder"
      return 0
    fi
  done
  die "the CNI plugins are in neither /usr/lib/cni nor /opt/cni/bin: install Debian's containernetworking-plugins"
}
start_containerd() { launch containerd containerd --config "$RUN/containerd.toml" --log-level info; }
await_containerd() { wait_for containerd 60 'an answer' ctr --address "$CONTAINERD" --connect-timeout 2s --timeout 3s version; }

start_registry() {
  cat >"$RUN/registry.yml" <<END
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $DATA/registry}
  delete: {enabled: true}
http: {addr: "$REGISTRY"}
END
  launch registry docker-registry serve "$RUN/registry.yml"
}
await_registry() { wait_for registry 60 'an answer' http_ok "http://$REGISTRY/v2/"; }

start_apiserver() {
  local at=$RUN/certificates
  launch apiserver "$BINARIES/kube-apiserver" --bind-address 0.0.0.0 --secure-port "$API_PORT" --advertise-address "$BRIDGE_ADDRESS" \
    --etcd-servers "http://127.0.0.1:$ETCD_PORT" --service-cluster-ip-range "$SERVICE_RANGE" --anonymous-auth=false --allow-privileged=true \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction,ResourceQuota,LimitRanger,PodSecurity \
    --client-ca-file "$at/ca.crt" --tls-cert-file "$at/apiserver.crt" --tls-private-key-file "$at/apiserver.key" \
    --kubelet-certificate-authority "$at/ca.crt" --kubelet-client-certificate "$at/apiserver-to-kubelet.crt" \
    --kubelet-client-key "$at/apiserver-to-kubelet.key" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$at/tokens.pub" \
    --service-account-signing-key-file "$at/tokens.key" --shutdown-delay-duration 0s --event-ttl 1h --profiling=false \
    --default-not-ready-toleration-seconds 30 --default-unreachable-toleration-seconds 30
}
await_apiserver() { wait_for apiserver 120 'readiness' kubectl get --raw /readyz; }

start_controller-manager() {
  local at=$RUN/certificates
  # A node that is silent for 20 s is lost, rather than for 50 s: tests wait for it.
  launch controller-manager "$BINARIES/kube-controller-manager" --kubeconfig "$RUN/controller-manager.kubeconfig" \
    --bind-address 127.0.0.1 --secure-port "$CONTROLLER_PORT" --leader-elect=false --profiling=false --allocate-node-cidrs=false \
    --root-ca-file "$at/ca.crt" --service-account-private-key-file "$at/tokens.key" --use-service-account-credentials=true \
    --cert-dir "$RUN/controller-manager" --node-monitor-grace-period 20s --node-monitor-period 2s
}
await_controller-manager() {
  wait_for controller-manager 60 'an answer' http_ok --insecure "https://127.0.0.1:$CONTROLLER_PORT/healthz"
}

start_scheduler() {
  cat >"$RUN/scheduler.yaml" <<END
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: $RUN/scheduler.kubeconfig}
leaderElection: {leaderElect: false}
END
  launch scheduler "$BINARIES/kube-scheduler" --config "$RUN/scheduler.yaml" --bind-address 127.0.0.1 --secure-port "$SCHEDULER_PORT" \
    --cert-dir "$RUN/scheduler"
}
await_scheduler() { wait_for scheduler 60 'an answer' http_ok --insecure "https://127.0.0.1:$SCHEDULER_PORT/healthz"; }

configure_kubelet() {
  local at=$RUN/certificates
  mkdir -p "$DATA/kubelet" "$RUN/pod-logs"
  cat >"$RUN/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $BRIDGE_ADDRESS
port: $KUBELET_PORT
healthzBindAddress: 127.0.0.1
healthzPort: $KUBELET_HEALTH_PORT
containerRuntimeEndpoint: unix://$CONTAINERD
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
podLogsDir: $RUN/pod-logs
volumePluginDir: $DATA/volume-plugins
tlsCertFile: $at/kubelet-server.crt
tlsPrivateKeyFile: $at/kubelet-server.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $at/ca.crt}
authorization: {mode: Webhook}
resolvConf: /etc/resolv.conf
# A disk that is nearly full of other things neither taints the node nor has images removed.
evictionHard: {memory.available: 64Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 20
serializeImagePulls: false
END
}
# Where the hierarchies of control groups are: one in version 2, several in version 1, and beside these maybe an empty one of version 2.
cgroup_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts; }
start_kubelet() {
  local hierarchy
  while read -r hierarchy; do
    mkdir -p "$hierarchy/$CGROUP"
  done < <(cgroup_mounts)
  launch kubelet "$BINARIES/kubelet" --config "$RUN/kubelet.yaml" --kubeconfig "$RUN/kubelet.kubeconfig" --root-dir "$DATA/kubelet" \
    --hostname-override "$NODE" --node-ip "$BRIDGE_ADDRESS"
}
await_kubelet() {
  wait_for kubelet 60 'an answer' http_ok "http://127.0.0.1:$KUBELET_HEALTH_PORT/healthz"
  wait_for kubelet 90 "readiness of node $NODE" node_is_ready
}
node_is_ready() {
  [ "$(kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
