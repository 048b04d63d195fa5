#!/bin/sh
# survey {"address": …, "peers": …, "bytes": …}: reads what only preflight wants to know of a node, and changes nothing.
# "address" is the node's own; a packet of "bytes" that must not be cut goes to each of the "peers", addresses with blanks
# between them.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

: "${PROC_SYS:=/proc/sys}"
: "${ETC_DIR:=/etc}"
: "${USR_LIB_DIR:=/usr/lib}"
: "${VAR_DIR:=/var}"

# How the runtime is told to look for confs and plugins: `confDir<TAB>…`, `maxConfNum<TAB>…`, `binDir<TAB>…` for each.
runtime_paths() {
  runtime_info=$("$CRICTL" info) || fail RuntimeUnreachable 'crictl info fails: the container runtime does not answer'
  printf '%s' "$runtime_info" | json_paths | awk -F "$TAB" -v OFS="$TAB" '
    $1 == "config.cni.confDir" { print "confDir", $2 }
    $1 == "config.cni.maxConfNum" { print "maxConfNum", $2 }
    $1 ~ /^config\.cni\.binDirs?(\.[0-9]+)?$/ && $2 != "" && $2 != "null" { print "binDir", $2 }'
}

runtime_value() { printf '%s\n' "$RUNTIME" | awk -F "$TAB" -v key="$1" '$1 == key { print $2 }'; }

# Who listens: one row for each protocol, port and program.
listener_rows() {
  command -v ss >/dev/null 2>&1 || return 0
  ss -H -lntup 2>/dev/null | awk "$AWK_STRING"'
    {
      port = $5; sub(/.*:/, "", port)
      name = ""
      if (match($0, /users:\(\("[^"]*"/)) name = substr($0, RSTART + 9, RLENGTH - 10)
      if (port !~ /^[0-9]+$/ || seen[$1, port, name]++) next
      printf "{\"protocol\":%s,\"port\":%d,\"program\":%s}\n", string($1), port, string(name)
    }'
}

# The link that has the address of the node.
uplink_name() { ip -o -4 addr show to "$1/32" 2>/dev/null | awk '{ print $2; exit }'; }

link_mtu() { ip -o link show dev "$1" 2>/dev/null | awk '{ for (i = 1; i < NF; i++) if ($i == "mtu") { print $(i + 1); exit } }'; }

# One answer of a few is enough: what is asked is whether such a packet can arrive, not whether all do.
arrives() { ping -n -c 2 -i 0.3 -W 1 -M "do" -s "$(($2 - 28))" "$1" >/dev/null 2>&1; }

ping_rows() {
  command -v ping >/dev/null 2>&1 || return 0
  for peer in $PEERS; do
    small=$(truth arrives "$peer" 100)
    large=false
    if [ "$small" = true ]; then large=$(truth arrives "$peer" "$BYTES"); fi
    printf '{"peer":%s,"small":%s,"large":%s}\n' "$(string "$peer")" "$small" "$large"
  done
}

truth() { if "$@" >/dev/null 2>&1; then echo true; else echo false; fi; }

# In one read: a file of /proc/sys answers the first one only, and `read` of dash asks for a byte at a time: 2 of 262144.
number() { if [ -r "$1" ]; then cat "$1"; else printf 0; fi; }

# Kernel settings by their path under /proc/sys; one that does not exist is left out.
sysctl_rows() {
  for setting in net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables net/ipv4/conf/all/rp_filter \
    net/ipv4/conf/uplink/rp_filter fs/inotify/max_user_instances; do
    setting_file=$PROC_SYS/$setting
    [ "$setting" != net/ipv4/conf/uplink/rp_filter ] || setting_file=$PROC_SYS/net/ipv4/conf/$UPLINK/rp_filter
    [ -r "$setting_file" ] || continue
    setting_value=$(number "$setting_file")
    case $setting_value in *[!0-9-]*) continue ;; esac # all of these are numbers
    printf '%s"%s":"%s"' "${setting_comma-}" "$setting" "$setting_value"
    setting_comma=,
  done
}

active_services() {
  for service in firewalld ufw NetworkManager systemd-networkd; do
    if is_active "$service"; then echo "$service"; fi
  done
}

# Whether NetworkManager was told to leave links of Calico alone, and networkd to leave routes that it did not make.
nm_leaves_alone() { grep -rqsE '^[^#]*unmanaged-devices.*cali' "$ETC_DIR/NetworkManager" "$USR_LIB_DIR/NetworkManager/conf.d"; }
networkd_leaves_alone() {
  grep -rqsiE '^ *ManageForeignRoutes *= *(no|false|off|0)' "$ETC_DIR/systemd/networkd.conf" "$ETC_DIR/systemd/networkd.conf.d" \
    "$USR_LIB_DIR/systemd/networkd.conf.d"
}

free_percent() { df -P "$VAR_DIR" 2>/dev/null | awk 'NR == 2 { sub(/%/, "", $5); print 100 - $5; found = 1 } END { if (!found) print -1 }'; }

# Rules of networks other than Flannel and Calico, all backends together.
other_rules() {
  for backend in nft legacy; do
    for family in ip ip6; do
      tool=$(filter_tool "$backend" "$family") || continue
      "$tool-save" 2>/dev/null
    done
  done | awk '
    /^-A/ && /CILIUM_/ { rules["Cilium"]++ }
    /^-A/ && /WEAVE-/ { rules["Weave Net"]++ }
    /^-A/ && /KUBE-ROUTER/ { rules["kube-router"]++ }
    /^-A/ && /ANTREA-/ { rules["Antrea"]++ }
    END { for (name in rules) printf "{\"network\":\"%s\",\"rules\":%d}\n", name, rules[name] }' | sort
}

# Every name of every image of the runtime: kubelet reports 50 images to the API and no more.
image_names() {
  "$CRICTL" images -o json 2>/dev/null | json_paths 2>/dev/null |
    awk -F "$TAB" '$1 ~ /^images\.[0-9]+\.repo(Tags|Digests)\.[0-9]+$/ { print $2 }' | sort -u
}

missing_programs() {
  for program in ss ping df; do
    command -v "$program" >/dev/null 2>&1 || echo "$program"
  done
}

main() {
  read_input "$@"
  need ip "$CRICTL" "$SYSTEMCTL"
  ADDRESS=$(field address '')
  PEERS=$(field peers '')
  case $ADDRESS$PEERS in *[!0-9A-Fa-f.:\ ]*) fail BadInput "not an address among: $ADDRESS $PEERS" ;; esac
  number_field bytes 1500
  BYTES=$FIELD
  RUNTIME=$(runtime_paths) || { printf '%s\n' "$RUNTIME"; exit 1; }
  UPLINK=$(uplink_name "$ADDRESS")
  reply \
    clock "$(date +%s)" \
    confDir "$(string "$(runtime_value confDir)")" \
    binDirs "$(runtime_value binDir | sort -u | strings)" \
    maxConfNum "$(runtime_value maxConfNum | awk '/^[0-9]+$/ { print; found = 1 } END { if (!found) print -1 }')" \
    listeners "$(listener_rows | values)" \
    uplink "{\"name\":$(string "$UPLINK"),\"mtu\":$(link_mtu "${UPLINK:-none}" | awk '{ print; found = 1 } END { if (!found) print 0 }')}" \
    pings "$(ping_rows | values)" \
    sysctls "{$(sysctl_rows)}" \
    services "$(active_services | strings)" \
    nmLeavesAlone "$(truth nm_leaves_alone)" \
    networkdLeavesAlone "$(truth networkd_leaves_alone)" \
    conntrack "{\"count\":$(number "$PROC_SYS/net/netfilter/nf_conntrack_count"),\"max\":$(number "$PROC_SYS/net/netfilter/nf_conntrack_max")}" \
    diskFreePercent "$(free_percent)" \
    images "$(image_names | strings)" \
    otherRules "$(other_rules | values)" \
    missing "$(missing_programs | strings)"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
