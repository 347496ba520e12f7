# What a cluster leaves, however it ended, and its removal. Sourced. Everything is known by its place, nothing by its name alone.
# shellcheck shell=bash

# The processes that keep a pod's containers. They outlive containerd, and know its address.
shims() {
  local cmdline words pid
  for cmdline in /proc/[0-9]*/cmdline; do
    mapfile -d '' -t words 2>/dev/null <"$cmdline" || continue
    case ${words[0]:-} in
      *containerd-shim*) ;;
      *) continue ;;
    esac
    pid=${cmdline#/proc/}
    case " ${words[*]} " in
      *" -address $CONTAINERD "*) printf '%s\n' "${pid%/cmdline}" ;;
    esac
  done
}

cgroup_folders() {
  local hierarchy
  while read -r hierarchy; do
    [ ! -d "$hierarchy/$CGROUP" ] || find "$hierarchy/$CGROUP" -depth -type d
  done < <(cgroup_mounts)
}

# What runs in pods, and what keeps it. A process that was started meanwhile is found the next time.
end_pods() {
  local folder pid found until=$((SECONDS + 20))
  while :; do
    found=no
    while read -r pid; do
      found=yes
      kill -s KILL "$pid" 2>/dev/null || true
    done < <(
      shims
      while read -r folder; do
        cat "$folder/cgroup.procs" 2>/dev/null || true
      done < <(cgroup_folders)
    )
    [ $found = yes ] || return 0
    [ "$SECONDS" -lt "$until" ] || die 'processes of pods are still there 20 s after SIGKILL'
    sleep 0.1
  done
}

# Mounts below a folder, the newest first, which lies on the others.
mounts_below() { awk -v at="$1/" 'index($5 "/", at) == 1 { print $5 }' /proc/self/mountinfo | tac; }

unmount_below() {
  local mount
  while read -r mount; do
    umount -l "$(printf '%b' "$mount")" || true
  done < <(mounts_below "$1")
  [ -z "$(mounts_below "$1")" ] || die "$1 still has mounts: $(mounts_below "$1" | head -n 3 | tr '\n' ' ')"
}

# What is outside of our folders, since the programs let nobody choose the place: sockets of shims, and links to the logs of pods.
remove_strays() {
  local file address
  for file in "$RUN"/containerd/io.containerd.runtime.v2.task/k8s.io/*/address; do
    if address=$(cat "$file" 2>/dev/null); then
      rm -f "${address#unix://}"
    fi
  done
  [ ! -d /var/log/containers ] || find /var/log/containers -maxdepth 1 -type l -lname "$RUN/*" -delete
}

remove_cluster() {
  local part index folder
  # The kubelet first: it would start again what the others end. The API server's clients before itself.
  for ((index = ${#PARTS[@]} - 1; index >= 0; index--)); do
    part=${PARTS[index]}
    case $part in
      # It holds nothing that is worth writing.
      etcd) stop_part "$part" KILL 5 ;;
      *) stop_part "$part" TERM 3 ;;
    esac
  done
  end_pods
  remove_strays
  unmount_below "$RUN"
  unmount_below "$DATA"
  network_down
  while read -r folder; do
    rmdir "$folder" 2>/dev/null || { sleep 0.2; rmdir "$folder"; }
  done < <(cgroup_folders)
  rm -rf --one-file-system "$RUN" "$DATA"
}
