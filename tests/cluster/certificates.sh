# The cluster's own authority, and who it vouches for. Sourced.
# shellcheck shell=bash

# certificate NAME SUBJECT [ALTERNATIVE-NAMES]: for a client, and for a server when it has names.
certificate() {
  local name=$1 subject=$2 names=${3:-} usage=clientAuth
  local at=$RUN/certificates/$name
  [ -z "$names" ] || usage=serverAuth
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$at.key" -subj "$subject" -out "$at.csr" 2>/dev/null
  {
    printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$usage"
    [ -z "$names" ] || printf 'subjectAltName=%s\n' "$names"
  } >"$at.ext"
  openssl x509 -req -in "$at.csr" -CA "$RUN/certificates/ca.crt" -CAkey "$RUN/certificates/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
    -days 3650 -sha256 -extfile "$at.ext" -out "$at.crt" 2>/dev/null
  rm "$at.csr" "$at.ext"
}

make_certificates() {
  local at=$RUN/certificates
  mkdir -p "$at"
  chmod 700 "$at"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$at/ca.key" -subj /CN=wharf-cluster -days 3650 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$at/ca.crt" 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
IP:127.0.0.1,IP:$BRIDGE_ADDRESS,IP:$SERVICE_ADDRESS"
  certificate kubelet-server "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:127.0.0.1,IP:$BRIDGE_ADDRESS"
  certificate apiserver-to-kubelet /O=system:masters/CN=kube-apiserver
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
  # What signs the tokens of service accounts.
  openssl ecparam -name prime256v1 -genkey -noout -out "$at/tokens.key" 2>/dev/null
  openssl ec -in "$at/tokens.key" -pubout -out "$at/tokens.pub" 2>/dev/null
}

# kubeconfig_for NAME: how a part of the cluster reaches the API server.
kubeconfig_for() {
  local at=$RUN/certificates
  cat >"$RUN/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster: {server: "https://127.0.0.1:$API_PORT", certificate-authority: $at/ca.crt}
users:
- name: $1
  user: {client-certificate: $at/$1.crt, client-key: $at/$1.key}
contexts:
- name: cluster
  context: {cluster: cluster, user: $1}
current-context: cluster
END
  chmod 600 "$RUN/$1.kubeconfig"
}
