#!/bin/sh
# clean-calico {"token": …}: deletes what Calico leaves when its pod is gone, before Flannel's pods start.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need ip "$CRICTL"
  claim
  if running=$(container_runs calico-node); then
    fail AgentRuns 'calico-node still runs on this node: Felix would bring its routes and rules back'
  fi
  [ -z "$running" ] || { printf '%s\n' "$running"; exit 1; }
  clean_calico
  reply links "$(printf '%s' "$LINKS_REMOVED" | strings)" routes "$ROUTES_REMOVED" rules "$RULES_REMOVED" ipsets "$IPSETS_REMOVED"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
