#!/bin/sh
# purge {"token": …}: stops kubelet, then removes every pod-network sandbox through the conf that is loaded now, so that
# the old CNI's own DEL frees addresses and hostPort rules (§0.6 of the migration facts). hostNetwork pods stay.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$CRICTL" "$SYSTEMCTL"
  claim
  read_sandboxes # before kubelet is stopped: a node that cannot be purged keeps its kubelet
  if is_active kubelet; then
    guard
    "$SYSTEMCTL" stop kubelet || fail KubeletStays 'systemctl stop kubelet fails'
    read_sandboxes
  fi
  pods=$(sandbox_ids POD)
  LOADED=$(loaded_networks) || { printf '%s\n' "$LOADED"; exit 1; }
  if is_loaded "$FENCE_NETWORK"; then
    # Behind the fence every DEL fails (§0a.4). What kubelet tried to make there never had a network and goes when the
    # next conf is loaded; a pod that works would leak its address and rules.
    [ -z "$(sandbox_ids POD SANDBOX_READY)" ] || fail FenceStands 'the fence is loaded: sandboxes cannot be removed behind it, purge comes first'
    pods=''
  fi
  purge_sandboxes "$pods"
  read_sandboxes
  if [ -n "$pods" ]; then
    left=$(sandbox_ids POD | count)
    [ "$left" -eq 0 ] || fail SandboxesLeft "$left pod sandboxes are left on this node: $PURGE_ERROR"
  fi
  reply removed "$PURGED" kept "$(sandbox_ids NODE | count)" leases "$(leases | count)"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
