#!/bin/sh
# clean-flannel {"keepLeases": …, "keepLinks": …, "waitSeconds": …, "token": …}: deletes what Flannel leaves when its pod is gone.
# 10-flannel.conflist and subnet.env stay: rollback needs them. With "keepLinks" flannel.1 stays as well: without flanneld it
# goes on carrying what enters this node for pods of other nodes.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need ip "$CRICTL"
  keep_leases=$(field keepLeases false)
  keep_links=$(field keepLinks false)
  wait_seconds=$(field waitSeconds 0)
  case $wait_seconds in *[!0-9]*) fail BadInput "\"waitSeconds\" is no number: $wait_seconds" ;; esac
  claim
  # flanneld brings flannel.1 back within 0.1 s, without its routes, FDB and neighbours: an outage (§0a.5).
  if running=$(container_runs kube-flannel); then
    fail AgentRuns 'kube-flannel still runs on this node: its links must not be deleted under it'
  fi
  [ -z "$running" ] || { printf '%s\n' "$running"; exit 1; }
  LINKS_REMOVED='' RULES_REMOVED=0 leases_removed=0
  ports=$(ip -o link show master cni0 2>/dev/null | count)
  [ "$ports" -eq 0 ] || fail BridgeInUse "$ports pods are still connected to cni0: purge comes first"
  if [ "$keep_links" != true ]; then
    # Felix writes the blackholes of its own blocks (protocol 80) as soon as it knows what the node should have, and then tries
    # every second to make its link beside flannel.1. When they are there the hand-over takes a second, and not its whole start.
    await_route "$wait_seconds" proto 80
    for link in flannel.1 flannel-v6.1 cni0; do delete_link "$link"; done
  fi
  clean_rules '^FLANNEL-' '-j FLANNEL-'
  delete_nft_table ip flannel-ipv4
  delete_nft_table ip6 flannel-ipv6
  if [ "$keep_leases" != true ] && [ -d "$CNI_LEASE_DIR/$FLANNEL_NETWORK" ]; then
    read_sandboxes
    # An address of a pod that still lives must not be given away again.
    if [ -z "$(sandbox_ids POD)" ]; then
      leases_removed=$(leases | count)
      guard
      rm -rf "${CNI_LEASE_DIR:?}/$FLANNEL_NETWORK"
    fi
  fi
  reply links "$(printf '%s' "$LINKS_REMOVED" | strings)" rules "$RULES_REMOVED" leases "$leases_removed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
