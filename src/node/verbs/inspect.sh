#!/bin/sh
# inspect {"routes": …}: reads everything that Cutover wants to know of a node, and changes nothing. Without its routes
# when that is false: a node has one or more to every other node.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

link_rows() {
  ip -d -o link show | awk "$AWK_STRING"'
    {
      name = $2; sub(/[@:].*/, "", name)
      if (name == "lo") next
      kind = / vxlan id /  ? "vxlan" : / bridge forward_delay / ? "bridge" : /\\ +veth / ? "veth" : "device"
      up = $3 ~ /[<,]UP[,>]/ ? "true" : "false"
      mac = mtu = master = ""; vni = port = 0
      for (i = 4; i < NF; i++) {
        if ($i == "mtu") mtu = $(i + 1)
        else if ($i == "master") master = $(i + 1)
        else if ($i ~ /link\/ether$/) mac = $(i + 1)
        else if (kind == "vxlan" && $i == "id") vni = $(i + 1)
        else if (kind == "vxlan" && $i == "dstport") port = $(i + 1)
      }
      printf "{\"name\":%s,\"kind\":\"%s\",\"mac\":\"%s\",\"mtu\":%d,\"up\":%s,\"vni\":%d,\"dstPort\":%d,\"master\":%s}\n",
        string(name), kind, mac, mtu, up, vni, port, string(master)
    }'
}

route_rows() {
  ip -d route show table main | awk "$AWK_STRING"'
    {
      via = dev = ""; proto = "boot"
      type = $1 ~ /^(unicast|blackhole|unreachable|prohibit|throw|local|broadcast|multicast)$/ ? $1 : "unicast"
      dst = type == $1 ? $2 : $1
      for (i = 2; i < NF; i++) {
        if ($i == "via") via = $(i + 1)
        else if ($i == "dev") dev = $(i + 1)
        else if ($i == "proto") proto = $(i + 1)
      }
      printf "{\"dst\":%s,\"via\":%s,\"dev\":%s,\"proto\":%s,\"type\":\"%s\"}\n", string(dst), string(via), string(dev), string(proto), type
    }'
}

addresses() { ip -o -4 addr show scope global | awk '{ for (i = 1; i < NF; i++) if ($i == "inet") print $(i + 1) }'; }

wanted_routes() { [ "$(field routes true)" = false ] || route_rows; }

conf_rows() {
  conf_files | while IFS= read -r line; do
    conf_path "$line"
    paths=$(json_paths <"$CONF") || paths=''
    # In the environment: awk expands backslashes in a value of -v, and sha256sum marks a line whose file has one.
    printf '%s\n' "$paths" | NAME="${CONF##*/}" awk -F "$TAB" -v sum="$(sha256sum <"$CONF" | cut -c 1-64)" "$AWK_STRING"'
      $1 == "name" { network = $2 }
      $1 == "type" || $1 == "plugins.0.type" { plugin = $2 }
      END { printf "{\"name\":%s,\"sha256\":\"%s\",\"network\":%s,\"firstPlugin\":%s}\n", string(ENVIRON["NAME"]), sum, string(network), string(plugin) }'
  done
}

# Rules and chains that name a CNI, for each backend that is in use.
rule_rows() {
  for backend in nft legacy; do
    for family in ip ip6; do
      tool=$(filter_tool "$backend" "$family") || continue
      "$tool-save" 2>/dev/null | awk -v backend="$backend" -v family="$family" '
        /^[:-]/ && /FLANNEL-/ { flannel++ }
        /^:cali-/ || (/^-A/ && /(-[jg] cali-|^-A cali-|--comment "?cali:)/) { calico++ }
        /^[:-]/ && /CNI-(HOSTPORT|DN)/ { hostport++ }
        END { printf "{\"backend\":\"%s\",\"family\":\"%s\",\"flannel\":%d,\"calico\":%d,\"hostport\":%d}\n", backend, family, flannel, calico, hostport }'
    done
  done
}

sandbox_rows() {
  printf '%s\n' "$SANDBOXES" | awk -F "$TAB" "$AWK_STRING"' NF {
    printf "{\"id\":%s,\"name\":%s,\"namespace\":%s,\"network\":\"%s\",\"ready\":%s}\n", string($1), string($5), string($4), $2, ($3 == "SANDBOX_READY" ? "true" : "false") }'
}

subnet_rows() {
  [ -f "$RUN_DIR/flannel/subnet.env" ] || return 0
  awk "$AWK_STRING"' { at = index($0, "="); if (at > 1) printf "%s%s:%s", (n++ ? "," : ""), string(substr($0, 1, at - 1)), string(substr($0, at + 1)) }' "$RUN_DIR/flannel/subnet.env"
}

truth() { if "$@" >/dev/null 2>&1; then echo true; else echo false; fi; }

any_file() { for any in "$@"; do [ -e "$any" ] && return 0; done; return 1; }

missing_tools() {
  for tool in ip "$CRICTL" "$SYSTEMCTL" flock conntrack ipset nft sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || echo "$tool"
  done
  command -v iptables >/dev/null 2>&1 || command -v iptables-nft >/dev/null 2>&1 || echo iptables
}

# Packets that conntrack has refused on any CPU: a full table, or two packets that wanted the same entry.
conntrack_drops() {
  command -v conntrack >/dev/null 2>&1 && counted=$(conntrack -S 2>/dev/null) && [ -n "$counted" ] || { echo -1; return; }
  printf '%s\n' "$counted" | awk '
    { for (i = 1; i <= NF; i++) if (split($i, part, "=") == 2 && (part[1] == "insert_failed" || part[1] == "drop")) sum += part[2] }
    END { print sum + 0 }'
}

main() {
  read_input "$@"
  need ip "$CRICTL" "$SYSTEMCTL" sha256sum
  LOADED=$(loaded_networks) || { printf '%s\n' "$LOADED"; exit 1; }
  SANDBOXES=$(sandboxes) || { printf '%s\n' "$SANDBOXES"; exit 1; }
  seen_token
  reply \
    hostname "$(string "$(uname -n)")" \
    kernel "$(string "$(uname -r)")" \
    kubeletActive "$(truth is_active kubelet)" \
    confs "$(conf_rows | values)" \
    loadedNetworks "$(printf '%s\n' "$LOADED" | strings)" \
    links "$(link_rows | values)" \
    routes "$(wanted_routes | values)" \
    rules "$(rule_rows | values)" \
    legacyTables "$(legacy_tables | strings)" \
    nftTables "$(nft list tables 2>/dev/null | sed 's/^table //' | strings)" \
    ipsets "$(ipset list -n 2>/dev/null | strings)" \
    leases "$(leases | strings)" \
    sandboxes "$(sandbox_rows | values)" \
    subnetEnv "{$(subnet_rows)}" \
    flannelBinary "$(truth test -e "$CNI_BIN_DIR/flannel")" \
    revertArmed "$(truth is_active "$REVERT_UNIT.timer")" \
    revertFired "$(truth any_file "$CUTOVER_DIR"/*/fired)" \
    snapshot "$(truth any_file "$CUTOVER_DIR"/*/snapshot)" \
    token "$SEEN" \
    installation "$(string "$OWNER")" \
    tokenProblem "$(string "$TOKEN_PROBLEM")" \
    missingTools "$(missing_tools | strings)" \
    addresses "$(addresses | strings)" \
    conntrackDrops "$(conntrack_drops)"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
