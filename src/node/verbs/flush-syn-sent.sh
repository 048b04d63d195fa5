#!/bin/sh
# flush-syn-sent {"ports": "30080,30081", "link": …, "waitSeconds": …, "token": …}: drops unanswered SYNs of the dark window from
# conntrack. Left alone they fail NodePort connections for 60 to 109 s (§0a.23). The window ends with the first routes through
# the new link, up to a second after the agent is Ready: a SYN that comes between the flush and the routes stays.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need conntrack ip
  ports=$(field ports) || { printf '%s\n' "$ports"; exit 1; }
  case $ports in *[!0-9,]*) fail BadInput "\"ports\" is not a list of port numbers: $ports" ;; esac
  name_field link
  link=$FIELD
  number_field waitSeconds
  # Before the claim: other verbs of this node need not wait for it.
  await_route "$FIELD" dev "$link"
  claim
  flushed=0
  for port in $(printf '%s' "$ports" | tr ',' ' '); do
    guard
    # It exits 1 when there was nothing to delete, and prints each entry that it deleted.
    gone=$(conntrack -D -p tcp --state SYN_SENT --orig-port-dst "$port" 2>/dev/null) || true
    flushed=$((flushed + $(printf '%s\n' "$gone" | count)))
  done
  reply flushed "$flushed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
