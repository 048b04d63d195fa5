#!/bin/sh
# start-kubelet {"token": …}
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$SYSTEMCTL"
  claim
  changed=false
  if ! is_active kubelet; then
    changed=true
    guard
    "$SYSTEMCTL" start kubelet || fail KubeletFails 'systemctl start kubelet fails: see journalctl -u kubelet'
    is_active kubelet || fail KubeletFails 'kubelet was started and is not active: see journalctl -u kubelet'
  fi
  reply active true changed "$changed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
