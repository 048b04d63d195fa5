#!/bin/sh
# revert MIGRATION: what the dead-man switch runs when Cutover has lost the node. No verb: nobody calls it over SSH.
# It does the node's own half of a rollback: remove Calico's conf, clean what Felix left, start kubelet, load the old conf.
# The agents are pods and follow the node's label in the API; that half is done by whoever comes back.
#
# Nothing here may stop it: each part is done as far as it goes, and needs no room on the disk. What could not be done goes
# to the journal, to revert.log and to standard output. kubelet is started whatever happened before.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"
set +eu
: "${REVERT_WAIT_SECONDS:=30}"

# A failure ends nothing here: it is noted, and what comes after it is tried. No attempt owns this: all of them were lost.
fail() {
  note "$2"
  return 1
}
guard() { :; }

# The log is in memory, and copied when there is room.
note() {
  printf '%s\n' "$1" >&2
  { printf '%s\n' "$1" >>"$LOG"; } 2>/dev/null
  return 0
}

# part WHAT COMMAND…: in a shell of its own, so that even what ends that shell does not end the program. Its output goes to
# the journal.
part() {
  part_what=$1
  shift
  ("$@") >&2 && return 0
  note "failed: $part_what"
  return 1
}

lock() {
  if ! command -v flock >/dev/null 2>&1; then note 'missing on this node: flock'; return; fi
  # In a shell of its own first: a redirection of exec that fails would end the program.
  if ! (: >>"$RUN_DIR/cutover/verb.lock") 2>/dev/null; then note "$RUN_DIR/cutover/verb.lock cannot be written"; return; fi
  exec 9>>"$RUN_DIR/cutover/verb.lock"
  flock -w "$LOCK_WAIT_SECONDS" 9 || note "an earlier verb still runs on this node after $LOCK_WAIT_SECONDS s: not waited for any longer"
}

# Renamed: it needs no room, and the disk may be full.
mark_fired() {
  rm -f "$own/reserve"
  if [ -f "$own/armed" ]; then mv -f "$own/armed" "$own/fired" || : >"$own/fired"; fi
}

# Pods that Calico connected go through Calico while its conf is loaded; behind the fence nothing can be removed (§0a.4).
remove_calico_pods() {
  LOADED=$(loaded_networks) && is_loaded k8s-pod-network || return 0
  SANDBOXES=$(sandboxes) || return 1
  purge_sandboxes "$(sandbox_ids POD)"
  [ -z "$PURGE_ERROR" ] || { note "$PURGE_ERROR"; return 1; }
}

remove_confs() {
  rm -f "$CNI_CONF_DIR/10-calico.conflist"
  rm -f "$CNI_CONF_DIR/calico-kubeconfig"
  [ ! -e "$CNI_CONF_DIR/10-calico.conflist" ]
}

clean_part() {
  LINKS_REMOVED='' ROUTES_REMOVED=0 RULES_REMOVED=0 IPSETS_REMOVED=0
  "clean_calico_$1"
}

start_kubelet() { "$SYSTEMCTL" start kubelet && is_active kubelet; }

# Units that stay bring the switch back at the next start of the node: wanted only as long as the node is not back.
end_switch() {
  "$SYSTEMCTL" stop "$REVERT_UNIT.timer"
  remove_revert_units
}

main() {
  migration=$1
  own="$CUTOVER_DIR/$migration"
  mkdir -p "$RUN_DIR/cutover"
  LOG="$RUN_DIR/cutover/revert.log"
  rm -f "$LOG"
  lock
  if [ ! -e "$own/armed" ] && [ ! -e "$own/fired" ]; then
    note "the dead-man switch of $migration was disarmed: nothing is done"
    part 'remove the units of the switch' end_switch
    reply reverted false problems '[]'
    return 0
  fi
  part 'mark the switch as fired' mark_fired
  part 'stop kubelet' "$SYSTEMCTL" stop kubelet
  part 'remove the pods of Calico' remove_calico_pods
  back=true
  part "remove the conf of Calico from $CNI_CONF_DIR" remove_confs || back=false
  for each in routes links rules ipsets tables files; do part "clean the $each of Calico" clean_part "$each"; done
  part 'start kubelet' start_kubelet || back=false
  part "load $FLANNEL_NETWORK within $REVERT_WAIT_SECONDS s" wait_loaded "$FLANNEL_NETWORK" "$REVERT_WAIT_SECONDS" || back=false
  [ "$back" = false ] || part 'remove the units of the switch' end_switch
  [ ! -s "$LOG" ] || cp -f "$LOG" "$own/revert.log"
  problems=$(file_strings "$LOG")
  reply reverted "$back" problems "${problems:-[]}"
  [ "$back" = true ]
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
