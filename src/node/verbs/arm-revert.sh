#!/bin/sh
# arm-revert {"migration": …, "seconds": …, "old": "flannel", "token": …}: the dead-man switch. A transient timer brings the
# node's own half of the old network back (revert.sh) when nobody disarms it in time. Arming again moves the end.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

# Over SSH this function comes along with the program; by hand revert.sh and lib.sh lie beside this file.
command -v revert_program >/dev/null 2>&1 || revert_program() { cat "$(dirname "$0")/lib.sh" "$(dirname "$0")/revert.sh"; }

main() {
  read_input "$@"
  need "$SYSTEMCTL" "$SYSTEMD_RUN"
  name_field migration
  migration=$FIELD
  name_field old
  [ "$FIELD" = flannel ] || fail BadInput "cannot revert to $FIELD: only flannel is known"
  number_field seconds
  seconds=$FIELD
  [ "$seconds" -gt 0 ] || fail BadInput '"seconds" must be above 0'
  claim
  if is_active "$REVERT_UNIT.service"; then fail RevertRuns 'the revert runs on this node right now: wait until it has ended'; fi
  guard
  mkdir -p "$CUTOVER_DIR/$migration"
  revert_program | write_file "$CUTOVER_DIR/$migration/revert.sh"
  guard
  "$SYSTEMCTL" stop "$REVERT_UNIT.timer" >/dev/null 2>&1 || true
  "$SYSTEMCTL" reset-failed "$REVERT_UNIT.service" >/dev/null 2>&1 || true
  guard
  rm -f "$CUTOVER_DIR/$migration/fired"
  guard
  "$SYSTEMD_RUN" --on-active="${seconds}s" --timer-property=AccuracySec=1s --unit="$REVERT_UNIT" \
    /bin/sh "$CUTOVER_DIR/$migration/revert.sh" "{\"migration\":\"$migration\"}" >/dev/null || fail NotArmed "$SYSTEMD_RUN fails: the dead-man switch is not armed"
  is_active "$REVERT_UNIT.timer" || fail NotArmed "the timer $REVERT_UNIT was made and is not active"
  reply unit "\"$REVERT_UNIT\"" armed true
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
