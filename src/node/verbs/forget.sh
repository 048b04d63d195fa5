#!/bin/sh
# forget {"migration": …, "token": …}: removes what Cutover keeps on the node: the snapshot, the revert program, its units, the token.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$SYSTEMCTL"
  name_field migration
  own=$CUTOVER_DIR/$FIELD
  claim
  if is_active "$REVERT_UNIT.timer"; then fail StillArmed 'the dead-man switch is armed: disarm it first'; fi
  removed=false
  if [ -d "$own" ]; then
    removed=true
    guard
    rm -rf "$own"
  fi
  if [ -e "$SYSTEMD_DIR/$REVERT_UNIT.timer" ] || [ -e "$SYSTEMD_DIR/$REVERT_UNIT.service" ]; then
    guard
    if remove_revert_units; then "$SYSTEMCTL" daemon-reload || true; fi
  fi
  guard
  rm -f "$CUTOVER_DIR/token"
  rmdir "$CUTOVER_DIR" 2>/dev/null || true
  rm -rf "$RUN_DIR/cutover"
  reply removed "$removed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
