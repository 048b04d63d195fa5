#!/bin/sh
# arm-revert {"migration": …, "seconds": …, "old": "flannel", "token": …}: the dead-man switch. A timer brings the node's
# own half of the old network back (revert.sh) when nobody disarms it in time. Arming again moves the end.
#
# Its units are files, so that a node that loses its power behind the fence still goes back: at the end that was set, or
# when it comes up if that has passed; at the latest so many seconds after it came up, whatever its clock says. Where
# /etc cannot be written the units are transient, and the answer says so ("persistent": false).
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

# Over SSH this function comes along with the program; by hand revert.sh and lib.sh lie beside this file.
command -v revert_program >/dev/null 2>&1 || revert_program() { cat "$(dirname "$0")/lib.sh" "$(dirname "$0")/revert.sh"; }

# The longest a revert may take; then systemd ends it, and starts kubelet.
LIMIT_SECONDS=900
# Whatever became of the program, even when it could not be started at all.
START_KUBELET="systemctl start kubelet"

# Not ordered before kubelet: the program starts kubelet itself, and that job would wait for this unit for ever.
service_text() {
  cat <<END
[Unit]
Description=Cutover: give this node back to its old network (installation ${OWNER:-unnamed}, migration $migration)
RequiresMountsFor=$own
After=containerd.service crio.service

[Service]
ExecStart=/bin/sh "$own/revert.sh" $migration
ExecStopPost=-/bin/sh -c "$START_KUBELET"
RuntimeMaxSec=$LIMIT_SECONDS
END
}

timer_text() {
  cat <<END
[Unit]
Description=Cutover: the dead-man switch of this node (installation ${OWNER:-unnamed}, migration $migration)

[Timer]
OnCalendar=$end
Persistent=true
OnActiveSec=${seconds}s
AccuracySec=1s

[Install]
WantedBy=timers.target
END
}

arm_persistent() {
  [ -d "$SYSTEMD_DIR" ] || return 1
  service_text | write_file "$SYSTEMD_DIR/$REVERT_UNIT.service" || return 1
  timer_text | write_file "$SYSTEMD_DIR/$REVERT_UNIT.timer" || return 1
  chmod 644 "$SYSTEMD_DIR/$REVERT_UNIT.service" "$SYSTEMD_DIR/$REVERT_UNIT.timer" || return 1
  "$SYSTEMCTL" daemon-reload || return 1
  "$SYSTEMCTL" enable "$REVERT_UNIT.timer" || return 1
  "$SYSTEMCTL" restart "$REVERT_UNIT.timer"
}

arm_transient() {
  "$SYSTEMCTL" stop "$REVERT_UNIT.timer" || true
  # A unit of that name that stays would come before the transient one.
  remove_revert_units || return 1
  "$SYSTEMCTL" daemon-reload || true
  # An older systemd-run does not know these properties.
  run_transient --property="ExecStopPost=-/bin/sh -c \"$START_KUBELET\"" --property="RuntimeMaxSec=$LIMIT_SECONDS" || run_transient
}

run_transient() {
  "$SYSTEMD_RUN" --on-active="${seconds}s" --timer-property=AccuracySec=1s --unit="$REVERT_UNIT" "$@" /bin/sh "$own/revert.sh" "$migration"
}

# What firing needs lies on the disk before: the program, and a mark that is only renamed then. A full disk frees `reserve`.
prepare() {
  mkdir -p "$own" || return 1
  revert_program | write_file "$own/revert.sh" || return 1
  head -c 65536 /dev/zero | write_file "$own/reserve" || return 1
  printf '%s\n' "$OWNER${OWNER:+ $SINCE}" | write_file "$own/armed"
}

main() {
  read_input "$@"
  need "$SYSTEMCTL"
  name_field migration
  migration=$FIELD
  own="$CUTOVER_DIR/$migration"
  name_field old
  [ "$FIELD" = flannel ] || fail BadInput "cannot revert to $FIELD: only flannel is known"
  number_field seconds
  seconds=$FIELD
  [ "$seconds" -gt 0 ] || fail BadInput '"seconds" must be above 0'
  end=$(date -u -d "@$(($(date +%s) + seconds))" '+%Y-%m-%d %H:%M:%S UTC') || fail NotArmed 'date cannot tell the end of the dead-man switch'
  claim
  if is_active "$REVERT_UNIT.service"; then fail RevertRuns 'the revert runs on this node right now: wait until it has ended'; fi
  guard
  prepare || fail NotArmed "the dead-man switch is not armed, because $own cannot be written: is the disk full or read-only?"
  guard
  "$SYSTEMCTL" reset-failed "$REVERT_UNIT.service" >/dev/null 2>&1 || true
  guard
  rm -f "$own/fired" "$own/revert.log"
  # There is one switch: it is of this migration now.
  for mark in "$CUTOVER_DIR"/*/armed; do
    if [ "$mark" != "$own/armed" ]; then rm -f "$mark"; fi
  done
  guard
  persistent=true
  note=''
  if ! said=$(arm_persistent 2>&1); then
    persistent=false
    note="the units cannot be kept in $SYSTEMD_DIR ($(printf '%s' "${said:-no such folder}" | tail -n 1)): after a restart of the node its dead-man switch is gone"
    guard
    said=$(arm_transient 2>&1) || fail NotArmed "the dead-man switch is not armed: neither $SYSTEMD_DIR nor $SYSTEMD_RUN will do ($(printf '%s' "$said" | tail -n 1))"
  fi
  is_active "$REVERT_UNIT.timer" || fail NotArmed "the timer $REVERT_UNIT was made and is not active"
  reply unit "\"$REVERT_UNIT\"" armed true persistent "$persistent" note "$(string "$note")"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
