# The bridge that pods are on, and the few rules of the firewall that they need. Sourced.
# shellcheck shell=bash

# One rule a line: table, chain, and the rule itself. `down` removes exactly these.
firewall_rules() {
  cat <<END
nat POSTROUTING -s $POD_RANGE ! -d $POD_RANGE -m comment --comment wharf-cluster -j MASQUERADE
nat PREROUTING -d $SERVICE_ADDRESS/32 -p tcp -m tcp --dport 443 -m comment --comment wharf-cluster -j DNAT --to-destination $BRIDGE_ADDRESS:$API_PORT
filter FORWARD -i $BRIDGE -m comment --comment wharf-cluster -j ACCEPT
filter FORWARD -o $BRIDGE -m comment --comment wharf-cluster -j ACCEPT
END
}

network_up() {
  local table chain rule
  [ -d "/sys/class/net/$BRIDGE" ] || ip link add "$BRIDGE" type bridge
  ip address replace "$BRIDGE_ADDRESS/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  printf 1 >/proc/sys/net/ipv4/ip_forward
  while read -r table chain rule; do
    # shellcheck disable=SC2086
    iptables -w -t "$table" -C "$chain" $rule 2>/dev/null || iptables -w -t "$table" -I "$chain" $rule
  done < <(firewall_rules)
}

network_down() {
  local table chain rule
  while read -r table chain rule; do
    # shellcheck disable=SC2086
    while iptables -w -t "$table" -D "$chain" $rule 2>/dev/null; do :; done
  done < <(firewall_rules)
  [ ! -d "/sys/class/net/$BRIDGE" ] || ip link delete "$BRIDGE"
}

# No kube-proxy runs: the API server's own service is the only one that pods reach by a service's address.
network_configure() {
  mkdir -p "$RUN/cni"
  cat >"$RUN/cni/10-wharf.conflist" <<END
{
  "cniVersion": "1.0.0",
  "name": "wharf-cluster",
  "plugins": [
    {
      "type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$RUN/addresses",
        "ranges": [[{"subnet": "$POD_RANGE"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
END
}
