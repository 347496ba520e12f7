# What the test cluster (tests/cluster) needs of a machine. Sourced by machine.sh.
# shellcheck shell=bash

need_cluster_packages() {
  local wanted=()
  command -v openssl >/dev/null || wanted+=(openssl)
  command -v curl >/dev/null || wanted+=(curl)
  command -v ip >/dev/null || wanted+=(iproute2)
  command -v iptables >/dev/null || wanted+=(iptables)
  command -v mount >/dev/null || wanted+=(mount)
  # flock and setsid.
  command -v flock >/dev/null || wanted+=(util-linux)
  command -v containerd >/dev/null || wanted+=(containerd)
  command -v runc >/dev/null || wanted+=(runc)
  [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || wanted+=(containernetworking-plugins)
  command -v docker-registry >/dev/null || wanted+=(docker-registry)
  command -v busybox >/dev/null || wanted+=(busybox-static)
  command -v cc >/dev/null || wanted+=(gcc libc6-dev)
  [ ${#wanted[@]} -eq 0 ] || apt_install "${wanted[@]}"
}

# Why this machine can't have a cluster of its own. Prints nothing when it can.
why_no_cluster() {
  if [ "$(uname -s)" != Linux ]; then
    say 'that needs Linux'
  elif [ "$(id -u)" != 0 ]; then
    say 'that needs root'
  elif ! command -v go >/dev/null; then
    say 'that needs Go'
  elif ! unshare --net --mount --pid --uts --ipc --fork true 2>/dev/null; then
    say 'the kernel, or the container that this is in, allows no namespaces'
  fi
}

# need_cluster: a Kubernetes cluster for the tests: the person's own, or else one that is brought up here.
#
# Fails when it doesn't come up. Sets WHARF_TEST_KUBECONFIG and WHARF_TEST_CONTEXT, and STARTED_CLUSTER where it wasn't up before.
STARTED_CLUSTER=
need_cluster() {
  [ -z "${WHARF_TEST_KUBECONFIG:-}" ] || return 0
  [ -e /run/wharf-cluster/made ] || STARTED_CLUSTER=yes
  WHARF_TEST_KUBECONFIG=$(tests/cluster/up) || return
  WHARF_TEST_CONTEXT=${WHARF_TEST_CONTEXT:-wharf}
  # For tests that stop single parts, and a kubectl of the same version.
  WHARF_TEST_CLUSTER_PART=$PWD/tests/cluster/part
  WHARF_TEST_KUBECTL=$(cut -d' ' -f2 /run/wharf-cluster/made)/kubectl
  export WHARF_TEST_KUBECONFIG WHARF_TEST_CONTEXT WHARF_TEST_CLUSTER_PART WHARF_TEST_KUBECTL
}

# The image of the backend's own tests, by digest: a shell, which the registry of the test cluster has from its beginning.
cluster_test_image() {
  local name=127.0.0.1:26530/wharf-cluster/busybox digest
  digest=$(curl -fsSI --noproxy '*' --max-time 10 -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
    -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "http://${name/\//\/v2/}/manifests/1" |
    tr -d '\r' | sed -n 's/^docker-content-digest: //ip')
  [ -n "$digest" ] || return
  printf '%s@%s' "$name" "$digest"
}

stop_cluster() {
  [ -n "$STARTED_CLUSTER" ] || return 0
  STARTED_CLUSTER=
  tests/cluster/down
}
