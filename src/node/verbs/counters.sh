#!/bin/sh
# counters {"address": "192.0.2.11"}: bytes and packets of the devices between nodes since the node was started: the underlay
# (the device that has the address, else that of the default route) and every tunnel. Changes nothing.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

# Names of devices, a line each; an @ begins the name of its parent.
device_names() { awk '{ name = $2; sub(/[@:].*/, "", name); print name }'; }

underlay_name() {
  underlay=''
  [ -z "$1" ] || underlay=$(ip -o address show | awk -v address="$1" '{ split($4, parts, "/"); if (parts[1] == address) { print $2; exit } }')
  [ -n "$underlay" ] || underlay=$(ip route show default | awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }')
  printf '%s' "$underlay"
}

tunnel_names() {
  # A type that the kernel does not know has no devices: no error.
  for kind in vxlan geneve ipip wireguard; do ip -o link show type "$kind" 2>/dev/null | device_names; done
}

# /proc/net/dev: after the name bytes and packets received in fields 1 and 2, sent in 9 and 10.
link_counters() {
  awk -v underlay="$1" -v tunnels="$2" "$AWK_STRING"'
    BEGIN { many = split(tunnels, list, " "); for (i = 1; i <= many; i++) role[list[i]] = "tunnel"; if (underlay != "") role[underlay] = "underlay" }
    {
      at = index($0, ":")
      if (at == 0) next
      name = substr($0, 1, at - 1); gsub(/ /, "", name)
      if (!(name in role)) next
      split(substr($0, at + 1), field, " ")
      printf "{\"name\":%s,\"role\":\"%s\",\"rxBytes\":%s,\"rxPackets\":%s,\"txBytes\":%s,\"txPackets\":%s}\n",
        string(name), role[name], field[1], field[2], field[9], field[10]
    }' /proc/net/dev
}

main() {
  read_input "$@"
  need ip awk
  address=$(field address '')
  case $address in *[!0-9a-fA-F.:]*) fail BadInput "\"address\" is not an address: $address" ;; esac
  # Seconds with two decimals: a clock that nobody sets.
  uptime=$(awk '{ sub(/\./, "", $1); sub(/^0+/, "", $1); print $1 }' /proc/uptime)
  links=$(link_counters "$(underlay_name "$address")" "$(tunnel_names | tr '\n' ' ')" | values)
  reply uptimeMs "${uptime}0" links "$links"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
