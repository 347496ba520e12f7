# What every script of the test cluster shares: where it lives, its addresses, and its processes. Sourced.
# shellcheck shell=bash

WHARF_CACHE=${WHARF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wharf}
CLUSTER_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Sockets, pids, certificates and logs; and what is large and needs a file system that overlays can lie on.
RUN=/run/wharf-cluster
DATA=/var/lib/wharf-cluster
BINARIES=
NODE=wharf-node
CGROUP=wharf-cluster

BRIDGE=wharf0
BRIDGE_ADDRESS=10.231.0.1
POD_RANGE=10.231.0.0/24
SERVICE_RANGE=10.232.0.0/24
# The first address of the services' range: the API server's own service.
SERVICE_ADDRESS=10.232.0.1

ETCD_PORT=26501
ETCD_PEER_PORT=26502
API_PORT=26510
CONTROLLER_PORT=26511
SCHEDULER_PORT=26512
KUBELET_PORT=26520
KUBELET_HEALTH_PORT=26521
STREAM_PORT=26522
REGISTRY_PORT=26530
REGISTRY=127.0.0.1:$REGISTRY_PORT

CONTAINERD=$RUN/containerd.sock
KUBECONFIG_FILE=$RUN/kubeconfig

# In the order in which they are started.
PARTS=(etcd containerd registry apiserver controller-manager scheduler kubelet)

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

log_of() { printf '%s/logs/%s.log' "$RUN" "$1"; }

# The time that a process began, which tells it from a later one of the same pid. Nothing when there is none.
began() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # The name may hold spaces: what counts comes after its parenthesis. A zombie is no process any more.
  stat=${stat##*) }
  [ "${stat%% *}" != Z ] || return 0
  printf '%s' "$stat" | cut -d ' ' -f 20
}

# pid_of PART: its pid. Fails when it doesn't run.
pid_of() {
  local pid time
  [ -f "$RUN/pids/$1" ] || return 1
  read -r pid time <"$RUN/pids/$1" || return 1
  [ -n "$time" ] && [ "$(began "$pid")" = "$time" ] || return 1
  printf '%s' "$pid"
}

# launch PART COMMAND...: starts it as a process of its own. It gets no proxy from the environment, and no lock of ours.
launch() {
  local part=$1 pid
  shift
  printf -- '--- %s: %s\n' "$(date -u +%FT%TZ)" "$*" >>"$(log_of "$part")"
  env -i PATH="$BINARIES:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME="$RUN" \
    setsid "$@" </dev/null >>"$(log_of "$part")" 2>&1 9>&- &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(began "$pid")" >"$RUN/pids/$part"
}

# wait_for PART SECONDS WHAT COMMAND...: until the command succeeds. Ends with the part's last words when it doesn't.
wait_for() {
  local part=$1 seconds=$2 what=$3 until
  shift 3
  until=$((SECONDS + seconds))
  while ! "$@" >/dev/null 2>&1; do
    if ! pid_of "$part" >/dev/null; then
      tail -n 25 "$(log_of "$part")" >&2 || true
      die "$part ended before $what; its log is $(log_of "$part")"
    fi
    if [ "$SECONDS" -ge "$until" ]; then
      tail -n 25 "$(log_of "$part")" >&2 || true
      die "$part: $what didn't happen within $seconds s; its log is $(log_of "$part")"
    fi
    sleep 0.2
  done
}

# stop_part PART SIGNAL SECONDS: sends the signal, and SIGKILL to one that hasn't ended in time.
stop_part() {
  local part=$1 signal=$2 pid until
  until=$((SECONDS + $3))
  if pid=$(pid_of "$part"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    # A process that was halted hears nothing else.
    kill -s CONT "$pid" 2>/dev/null || true
    while pid_of "$part" >/dev/null; do
      [ "$SECONDS" -lt "$until" ] || kill -s KILL "$pid" 2>/dev/null || true
      [ "$SECONDS" -lt $((until + 10)) ] || die "$part (process $pid) is still there 10 s after SIGKILL"
      sleep 0.1
    done
  fi
  rm -f "$RUN/pids/$part"
}

# Tells of another start of this machine, after which no pid and no mount of ours is left.
this_boot() { cat /proc/sys/kernel/random/boot_id; }

# One script at a time. The lock is on descriptor 9.
lock() {
  exec 9>/run/wharf-cluster.lock
  flock -w 600 9 || die "another script of the cluster has held /run/wharf-cluster.lock for 10 minutes: end it, and start again"
}

http_ok() { curl -fsS --noproxy '*' --max-time 3 "$@"; }

kubectl() { "$BINARIES/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@"; }

# shellcheck source-path=SCRIPTDIR source=binaries.sh
. "$CLUSTER_HERE/binaries.sh"
# shellcheck source-path=SCRIPTDIR source=certificates.sh
. "$CLUSTER_HERE/certificates.sh"
# shellcheck source-path=SCRIPTDIR source=network.sh
. "$CLUSTER_HERE/network.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
. "$CLUSTER_HERE/images.sh"
# shellcheck source-path=SCRIPTDIR source=parts.sh
. "$CLUSTER_HERE/parts.sh"
# shellcheck source-path=SCRIPTDIR source=access.sh
. "$CLUSTER_HERE/access.sh"
# shellcheck source-path=SCRIPTDIR source=remains.sh
. "$CLUSTER_HERE/remains.sh"
