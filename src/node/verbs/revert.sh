#!/bin/sh
# revert {"migration": …}: what the dead-man switch runs when Cutover has lost the node. No verb: nobody calls it over SSH.
# It does the node's own half of a rollback: remove Calico's conf, clean what Felix left, start kubelet, load the old conf.
# The agents are pods and follow the node's label in the API; that half is done by whoever comes back.
# Nothing here may stop it: each part is done as far as it goes.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  name_field migration
  TOKEN=9223372036854775807 # no attempt owns this: it runs because all of them were lost
  mkdir -p "$CUTOVER_DIR/$FIELD" "$RUN_DIR/cutover"
  exec 9>"$RUN_DIR/cutover/verb.lock"
  if command -v flock >/dev/null 2>&1; then flock -w "$LOCK_WAIT_SECONDS" 9 || true; fi
  date -u +%Y-%m-%dT%H:%M:%SZ | write_file "$CUTOVER_DIR/$FIELD/fired"
  "$SYSTEMCTL" stop kubelet || true
  # Pods that Calico connected go through Calico while its conf is loaded; behind the fence nothing can be removed (§0a.4).
  if LOADED=$(loaded_networks) && is_loaded k8s-pod-network && SANDBOXES=$(sandboxes); then
    purge_sandboxes "$(sandbox_ids POD)"
  fi
  rm -f "$CNI_CONF_DIR/10-calico.conflist" "$CNI_CONF_DIR/calico-kubeconfig"
  (clean_calico) || true
  "$SYSTEMCTL" start kubelet || true
  (wait_loaded "$FLANNEL_NETWORK" 30) || fail NotLoaded "the runtime has not loaded $FLANNEL_NETWORK after 30 s"
  reply reverted true
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
