#!/bin/sh
# disarm-revert {"migration": …, "token": …}: stops the dead-man switch and says whether it has fired.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$SYSTEMCTL"
  name_field migration
  marker="$CUTOVER_DIR/$FIELD/fired"
  claim # waits for a revert that runs right now: it holds the lock
  if is_active "$REVERT_UNIT.timer"; then
    guard
    "$SYSTEMCTL" stop "$REVERT_UNIT.timer" || fail StillArmed "systemctl stop $REVERT_UNIT.timer fails: the node may still revert"
  fi
  # Asked after the timer is stopped: it cannot fire any more.
  fired=false
  if [ -e "$marker" ] || is_active "$REVERT_UNIT.service"; then fired=true; fi
  reply fired "$fired"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
