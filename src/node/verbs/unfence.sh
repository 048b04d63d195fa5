#!/bin/sh
# unfence {"confName": …, "expect": …, "waitSeconds": …, "token": …}: removes a conf, and Calico's kubeconfig with it, then
# waits until the runtime has loaded the network `expect`.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$CRICTL"
  name_field confName
  conf="$CNI_CONF_DIR/$FIELD"
  name_field expect
  expect=$FIELD
  number_field waitSeconds
  seconds=$FIELD
  claim
  existed=false
  if [ -f "$conf" ]; then
    [ "$(conf_network "$conf" || true)" != "$expect" ] || fail WrongConf "${conf##*/} is the conf of $expect itself: it stays"
    existed=true
    guard
    rm -f "$conf"
  fi
  if [ -f "$CNI_CONF_DIR/calico-kubeconfig" ]; then
    guard
    rm -f "$CNI_CONF_DIR/calico-kubeconfig"
  fi
  wait_loaded "$expect" "$seconds" ||
    fail NotLoaded "after $seconds s the runtime has not loaded $expect; it has: $(printf '%s' "${LOADED:-nothing}" | tr '\n' ' ')"
  reply loaded "$(printf '%s\n' "$LOADED" | strings)" existed "$existed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
