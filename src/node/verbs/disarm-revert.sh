#!/bin/sh
# disarm-revert {"migration": …, "token": …}: stops the dead-man switch and says whether it has fired, and what it could not do.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$SYSTEMCTL"
  name_field migration
  own="$CUTOVER_DIR/$FIELD"
  claim # waits for a revert that runs right now: it holds the lock
  if is_active "$REVERT_UNIT.timer"; then
    guard
    "$SYSTEMCTL" stop "$REVERT_UNIT.timer" || fail StillArmed "systemctl stop $REVERT_UNIT.timer fails: the node may still revert"
  fi
  # Of every migration of this node, because there is one switch. Without the mark a program that starts all the same does
  # nothing: where /etc has become read-only, its units stay.
  for mark in "$CUTOVER_DIR"/*/armed; do
    [ -f "$mark" ] || continue
    guard
    rm -f "$mark" || fail StillArmed "$mark cannot be removed: the node may still revert"
  done
  if [ -e "$SYSTEMD_DIR/$REVERT_UNIT.timer" ] || [ -e "$SYSTEMD_DIR/$REVERT_UNIT.service" ]; then
    guard
    if remove_revert_units; then "$SYSTEMCTL" daemon-reload || true; fi
  fi
  guard
  rm -f "$own/reserve"
  # Asked after the timer is stopped: it cannot fire any more.
  fired=false
  if [ -e "$own/fired" ]; then fired=true; fi
  reply fired "$fired" problems "$(file_strings "$own/revert.log")"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
