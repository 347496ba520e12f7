# The cluster's programs, built once and kept. Sourced.
# shellcheck shell=bash

KUBERNETES_VERSION=$(sed -nE 's/^\tk8s\.io\/kubernetes (v[0-9.]+)$/\1/p' "$CLUSTER_HERE/go.mod")

# What they are built of decides where they are kept.
binaries_folder() {
  local hash
  hash=$(cd "$CLUSTER_HERE" && cat go.mod go.sum main.go pause.c binaries.sh | sha256sum | cut -c 1-12)
  printf '%s/cluster/%s-%s' "$WHARF_CACHE" "$KUBERNETES_VERSION" "$hash"
}

# need_binaries: builds them when they aren't there, and sets BINARIES.
need_binaries() {
  local folder fresh program
  folder=$(binaries_folder)
  BINARIES=$folder
  [ ! -x "$folder/wharf-cluster" ] || return 0
  command -v go >/dev/null ||
    die "the cluster's programs are built with Go 1.24 or newer, which isn't here: install it (https://go.dev/dl)," \
      "or name a cluster of your own in WHARF_TEST_KUBECONFIG"
  command -v cc >/dev/null || die "a C compiler is missing: install gcc and libc6-dev"
  mkdir -p "$WHARF_CACHE/cluster"
  fresh=$(mktemp -d "$WHARF_CACHE/cluster/new.XXXXXX")
  say "building the programs of Kubernetes $KUBERNETES_VERSION: this takes minutes, once"
  build_binaries "$fresh" || {
    rm -rf "$fresh"
    die "the cluster's programs couldn't be built: see above; another way is a cluster of your own," \
      "named in WHARF_TEST_KUBECONFIG"
  }
  for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do
    ln -s wharf-cluster "$fresh/$program"
  done
  chmod 755 "$fresh"
  # Who builds the same at once makes the same: the first stays.
  mv -T "$fresh" "$folder" 2>/dev/null || rm -rf "$fresh"
  [ -x "$folder/wharf-cluster" ] || die "$folder isn't what was built: remove it, and start again"
}

build_binaries() {
  local version=${KUBERNETES_VERSION#v} names=k8s.io/component-base/version
  local major=${version%%.*} minor=${version#*.}
  minor=${minor%%.*}
  cc -Os -static -s -o "$1/pause" "$CLUSTER_HERE/pause.c" || return
  # No debugging data is made, rather than made and stripped: that is a good part of the time.
  (cd "$CLUSTER_HERE" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off go build -trimpath -gcflags=all=-dwarf=false \
    -ldflags "-s -w -X $names.gitVersion=$KUBERNETES_VERSION -X $names.gitMajor=$major -X $names.gitMinor=$minor \
      -X $names.gitTreeState=clean" -o "$1/wharf-cluster" .)
}
