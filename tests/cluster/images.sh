# Images made by hand of one file, and how they get to where they are wanted. Sourced.
# shellcheck shell=bash

architecture() {
  case $(uname -m) in
    x86_64) printf amd64 ;;
    aarch64) printf arm64 ;;
    *) die "there is no name for this machine's architecture, $(uname -m)" ;;
  esac
}

# image_of FOLDER COMMAND: an image of what is in FOLDER/files, as FOLDER/layer.tar and FOLDER/config.json. The command is a list in JSON.
image_of() {
  local folder=$1
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder/files" -cf "$folder/layer.tar" .
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(architecture)" "$2" "$(sha256sum "$folder/layer.tar" | cut -d ' ' -f 1)" >"$folder/config.json"
}

# import_image FOLDER NAME: into the cluster's containerd.
import_image() {
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >"$1/manifest.json"
  tar -C "$1" -cf "$1/image.tar" manifest.json config.json layer.tar
  ctr --address "$CONTAINERD" --timeout 20s --namespace k8s.io images import "$1/image.tar" >/dev/null
}

# upload_blob REPOSITORY FILE: prints its digest.
upload_blob() {
  local digest place
  digest=sha256:$(sha256sum "$2" | cut -d ' ' -f 1)
  place=$(http_ok -X POST -o /dev/null -D - "http://$REGISTRY/v2/$1/blobs/uploads/" | tr -d '\r' | sed -nE 's/^[Ll]ocation: //p')
  [ -n "$place" ] || die "the registry at $REGISTRY takes no upload for $1; its log is $(log_of registry)"
  curl -fsS --noproxy '*' --max-time 60 -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$2" \
    "$place&digest=$digest" >/dev/null
  printf '%s' "$digest"
}

# push_image FOLDER REPOSITORY TAG: into the cluster's registry.
push_image() {
  local kind=application/vnd.docker.distribution.manifest.v2+json config layer
  config=$(upload_blob "$2" "$1/config.json")
  layer=$(upload_blob "$2" "$1/layer.tar")
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":"%s"},
"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%d,"digest":"%s"}]}' \
    "$kind" "$(stat -c %s "$1/config.json")" "$config" "$(stat -c %s "$1/layer.tar")" "$layer" >"$1/registry.json"
  http_ok -X PUT -H "Content-Type: $kind" --data-binary "@$1/registry.json" "http://$REGISTRY/v2/$2/manifests/$3" >/dev/null
}

# What is pushed as wharf-cluster/busybox: Debian's static busybox, with a name for each of its programs.
busybox_image() {
  local folder=$1 program
  mkdir -p "$folder/files/bin" "$folder/files/tmp"
  chmod 1777 "$folder/files/tmp"
  cp "$(command -v busybox)" "$folder/files/bin/busybox"
  for program in $("$folder/files/bin/busybox" --list); do
    [ "$program" = busybox ] || ln -s busybox "$folder/files/bin/$program"
  done
  image_of "$folder" '["sh"]'
}

pause_image() {
  mkdir -p "$1/files"
  cp "$BINARIES/pause" "$1/files/pause"
  image_of "$1" '["/pause"]'
}

# The cluster's two own images, to where they belong.
import_pause() {
  pause_image "$RUN/images/pause"
  import_image "$RUN/images/pause" "$PAUSE_IMAGE"
  rm -rf "$RUN/images/pause"
}

push_busybox() {
  busybox_image "$RUN/images/busybox"
  push_image "$RUN/images/busybox" wharf-cluster/busybox 1
  rm -rf "$RUN/images/busybox"
}
