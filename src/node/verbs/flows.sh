#!/bin/sh
# flows {"first": "10.244.0.0", "last": "10.244.255.255", "limit": 2000}: which connections of addresses in that range this
# node has seen answered, by source, destination, protocol and port, the most frequent first. Reads conntrack, changes
# nothing. Destinations are those after Services: what the reply comes from. Without a readable conntrack `from` is "none".
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

address_field() {
  FIELD=$(field "$1") || { printf '%s\n' "$FIELD"; exit 1; }
  printf '%s\n' "$FIELD" | awk -F . '
    /[^0-9.]/ || NF != 4 { exit 1 }
    { for (i = 1; i <= 4; i++) if ($i == "" || $i > 255) exit 1 }' ||
    fail BadInput "\"$1\" is not an IPv4 address: $FIELD"
}

# Prints conntrack's table as the tool or the kernel's own file has it; 1 when this node has neither.
entries() {
  if command -v conntrack >/dev/null 2>&1; then conntrack -L -f ipv4 2>/dev/null && return 0; fi
  cat /proc/net/nf_conntrack 2>/dev/null
}

main() {
  read_input "$@"
  address_field first
  first=$FIELD
  address_field last
  last=$FIELD
  number_field limit
  limit=$FIELD
  table=$(entries) || { reply from '"none"' total 0 flows '[]'; return 0; }
  # One line a flow: `COUNT SOURCE DESTINATION PROTOCOL PORT`. A connection without an answer says nothing about what works.
  rows=$(printf '%s\n' "$table" | awk -v first="$first" -v last="$last" '
    function address(text,  part) { split(text, part, "."); return ((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4] }
    function inside(text) { return text !~ /:/ && address(text) >= low && address(text) <= high }
    BEGIN { low = address(first); high = address(last) }
    /\[UNREPLIED\]/ || / SYN_SENT / || / SYN_RECV / { next }
    {
      protocol = ""; sources = 0; source = destination = port = ""
      for (i = 1; i <= NF; i++) {
        if (protocol == "" && $i ~ /^(tcp|udp|sctp)$/) protocol = toupper($i)
        else if ($i ~ /^src=/) { if (++sources == 1) source = substr($i, 5); else destination = substr($i, 5) }
        else if ($i ~ /^sport=/ && sources == 2) port = substr($i, 7)
      }
      if (protocol == "" || destination == "" || port == "") next
      if (!inside(source) && !inside(destination)) next
      seen[source " " destination " " protocol " " port]++
    }
    END { for (flow in seen) print seen[flow], flow }' | sort -k1,1nr -k2)
  flows=$(printf '%s\n' "$rows" | awk -v limit="$limit" 'NF && NR <= limit {
    printf "{\"source\":\"%s\",\"destination\":\"%s\",\"protocol\":\"%s\",\"port\":%d,\"connections\":%d}\n", $2, $3, $4, $5, $1 }' | values)
  reply from '"conntrack"' total "$(printf '%s\n' "$rows" | count)" flows "$flows"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
