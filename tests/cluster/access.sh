# Who may do what in the cluster, and the kubeconfig that tests get. Sourced.
# shellcheck shell=bash

# write_kubeconfig [TOKEN]: the administrator's alone until there is a token for the context "wharf".
write_kubeconfig() {
  local at=$RUN/certificates fresh=$KUBECONFIG_FILE.new
  rm -f "$fresh"
  (umask 077 && : >"$fresh")
  cat >"$fresh" <<END
apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster:
    server: https://127.0.0.1:$API_PORT
    certificate-authority-data: $(base64 -w 0 "$at/ca.crt")
current-context: admin
contexts:
- name: admin
  context: {cluster: cluster, user: admin}
- name: wharf
  context: {cluster: cluster, user: wharf, namespace: wharf-runs}
- name: other
  context: {cluster: cluster, user: other, namespace: wharf-other}
users:
- name: admin
  user:
    client-certificate-data: $(base64 -w 0 "$at/admin.crt")
    client-key-data: $(base64 -w 0 "$at/admin.key")
- name: wharf
  user: {token: "${1:-}"}
- name: other
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: $RUN/other-credentials
      interactiveMode: Never
END
  mv "$fresh" "$KUBECONFIG_FILE"
}

namespaces() {
  cat <<END
apiVersion: v1
kind: Namespace
metadata:
  name: wharf-runs
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: Namespace
metadata:
  name: wharf-other
  labels: {pod-security.kubernetes.io/enforce: baseline}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: wharf, namespace: wharf-runs}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: wharf, namespace: wharf-other}
END
  local namespace
  for namespace in wharf-runs wharf-other; do
    cat <<END
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: wharf, namespace: $namespace}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: wharf}
subjects:
- {kind: ServiceAccount, name: wharf, namespace: $namespace}
END
  done
}

default_accounts() {
  kubectl -n wharf-runs get serviceaccount default && kubectl -n wharf-other get serviceaccount default
}

grant_access() {
  local namespace
  namespaces | kubectl apply -f - >/dev/null
  for namespace in wharf-runs wharf-other; do
    kubectl -n "$namespace" apply -f "$CLUSTER_HERE/role.yaml" >/dev/null
  done
  # Pods are refused until their namespace has one.
  wait_for controller-manager 60 'making the default service accounts' default_accounts
  kubectl -n wharf-other create token wharf --duration 720h >"$RUN/other.token"
  cat >"$RUN/other-credentials" <<END
#!/bin/sh
# What kubectl calls an exec plugin: it says who the context "other" is.
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "\$(cat '$RUN/other.token')"
END
  chmod 600 "$RUN/other.token"
  chmod 700 "$RUN/other-credentials"
  write_kubeconfig "$(kubectl -n wharf-runs create token wharf --duration 720h)"
}
