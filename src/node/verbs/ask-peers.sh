#!/bin/sh
# ask-peers {"port": 179, "peers": "10.0.0.2,10.0.0.3", "waitSeconds": 2}: asks a TCP port of other nodes, and looks at who
# listens on the own one. A refusal is an answer: the packet went there and the reset came back. Changes nothing.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

# The name of the program, as ss prints it: users:(("bird",pid=7,fd=6)).
listener() {
  ss -Hltnp "sport = :$1" | awk '
    { name = "unknown"; if (match($0, /\(\("[^"]*"/)) name = substr($0, RSTART + 3, RLENGTH - 4); print name; exit }'
}

# /dev/tcp is bash's own: no netcat is the same everywhere.
ask() {
  answer=$(timeout "$3" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1) && { echo open; return; }
  case $answer in *refused*) echo refused ;; *) echo silent ;; esac
}

answer_rows() {
  for peer in $(printf '%s' "$PEERS" | tr ',' ' '); do
    printf '{"address":"%s","answer":"%s"}\n' "$peer" "$(ask "$peer" "$PORT" "$WAIT")" &
  done
  wait
}

strict_filters() {
  for conf in /proc/sys/net/ipv4/conf/*/rp_filter; do
    [ "$(cat "$conf")" != 1 ] || { name=${conf%/rp_filter}; echo "${name##*/}"; }
  done
}

main() {
  read_input "$@"
  need ss timeout bash
  number_field port
  PORT=$FIELD
  number_field waitSeconds
  WAIT=$FIELD
  PEERS=$(field peers '')
  case $PEERS in *[!0-9.,]*) fail BadInput "\"peers\" is not a list of IPv4 addresses: $PEERS" ;; esac
  reply \
    listener "$(string "$(listener "$PORT")")" \
    answers "$(answer_rows | values)" \
    strictRpFilter "$(strict_filters | strings)"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
