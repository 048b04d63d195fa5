#!/bin/sh
# remove-flannel-files {"token": …}: the point of no return on the node. What rollback would need goes.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$CRICTL"
  claim
  LOADED=$(loaded_networks) || { printf '%s\n' "$LOADED"; exit 1; }
  if is_loaded "$FLANNEL_NETWORK"; then fail StillLoaded "the runtime still uses $FLANNEL_NETWORK: its files stay"; fi
  removed=''
  for path in "$CNI_CONF_DIR/10-flannel.conflist" "$RUN_DIR/flannel" "$CNI_STATE_DIR/flannel" "$CNI_BIN_DIR/flannel"; do
    [ -e "$path" ] || continue
    guard
    rm -rf "$path"
    removed="$removed$path
"
  done
  reply removed "$(printf '%s' "$removed" | strings)"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
