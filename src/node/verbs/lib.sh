# shellcheck shell=sh
# What every verb of Cutover starts with. Over SSH this file and the verb travel as one program on the standard input of
# `sh -s -- '<json>'`, so that nothing is left on the node; by hand each verb reads this file from its own folder.
#
#   in:   one flat JSON object, as the first argument or (without one) on standard input
#   out:  one JSON object; when the verb fails {"error": …, "message": …} and exit code 1,
#         or 75 (EX_TEMPFAIL) when a newer attempt, or another installation of Cutover, owns this node
#
# Everything runs under dash and busybox: sh, awk, sed, ip, iptables, crictl, systemctl.
# Variables that only the verbs read are no mistake:
# shellcheck disable=SC2034
set -eu
CUTOVER_LIB=1
LC_ALL=C
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export LC_ALL PATH
umask 077

: "${CNI_CONF_DIR:=/etc/cni/net.d}"
: "${CNI_STATE_DIR:=/var/lib/cni}"
: "${CNI_LEASE_DIR:=$CNI_STATE_DIR/networks}"
: "${CNI_BIN_DIR:=/opt/cni/bin}"
: "${CUTOVER_DIR:=/var/lib/cutover}"
: "${RUN_DIR:=/run}"
: "${CRICTL:=crictl}"
: "${SYSTEMCTL:=systemctl}"
: "${SYSTEMD_RUN:=systemd-run}"
: "${SYSTEMD_DIR:=/etc/systemd/system}"
: "${LOCK_WAIT_SECONDS:=60}"
: "${CLOCK_AHEAD_SECONDS:=600}"

FENCE_NETWORK=cutover-fence
FLANNEL_NETWORK=cbr0
REVERT_UNIT=cutover-revert
TAB=$(printf '\t')

# ---- JSON ----------------------------------------------------------------------------------------------------------

# Prints `path<TAB>value` for each scalar of the JSON on standard input: `plugins.0.type<TAB>flannel`. Fails on what is
# no JSON. Records end at commas so that long lines stay cheap in every awk; a string may go on in the next record.
json_paths() {
  awk 'BEGIN { RS = ","; depth = 0; value = ""; seen = 0 }
    function path(  i, text) {
      text = ""
      for (i = 1; i <= depth; i++) text = text (i > 1 ? "." : "") (kind[i] == "{" ? key[i] : index_[i])
      return text
    }
    function literal() { if (bare != "") { print path() "\t" bare; bare = "" } }
    {
      text = $0 ","; size = length(text)
      for (at = 1; at <= size; at++) {
        c = substr(text, at, 1)
        if (quoted) {
          if (escaped) { value = value (c ~ /["\\\/]/ ? c : "\\" c); escaped = 0 }
          else if (c == "\\") escaped = 1
          else if (c != "\"") value = value c
          else { quoted = 0; if (naming) key[depth] = value; else print path() "\t" value }
          continue
        }
        if (c == "\"") { quoted = 1; value = "" }
        else if (c == "{" || c == "[") { kind[++depth] = c; index_[depth] = 0; naming = c == "{"; seen = 1 }
        else if (c == "}" || c == "]") { literal(); depth--; naming = 0; if (depth < 0) exit 1 }
        else if (c == ":") naming = 0
        else if (c == ",") { literal(); naming = kind[depth] == "{"; index_[depth]++ }
        else if (c !~ /[ \t\r\n]/) bare = bare c
      }
    }
    END { if (depth != 0 || quoted || !seen) exit 1 }'
}

# The awk function that writes a JSON string. It takes and keeps the escapes \n, \t and \uXXXX as json_paths leaves them.
# It is awk, not shell: nothing in it is meant to expand.
# shellcheck disable=SC2016
AWK_STRING='function string(s,  i, c, out) {
  out = ""
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (c == "\\" || c == "\"") out = out "\\" c
    else if (c == "\t") out = out "\\t"
    else if (c == "\n") out = out "\\n"
    else if (c < " ") out = out " "
    else out = out c
  }
  return "\"" out "\""
}'

# One string as JSON.
string() { printf '%s' "$1" | awk "$AWK_STRING"' { text = text (NR > 1 ? " " : "") $0 } END { printf "%s", string(text) }'; }

# The lines of standard input as a JSON list of strings.
strings() { awk "$AWK_STRING"' $0 != "" { printf "%s%s", (n++ ? "," : "["), string($0) } END { printf "%s", (n ? "]" : "[]") }'; }

# The lines of a file as a JSON list of strings; empty when it is not there.
file_strings() { if [ -f "$1" ]; then strings <"$1"; else printf '[]'; fi; }

# The lines of standard input, each a JSON value, as a JSON list.
values() { awk '$0 != "" { printf "%s%s", (n++ ? "," : "["), $0 } END { printf "%s", (n ? "]" : "[]") }'; }

# reply NAME VALUE …: the answer. Values are JSON already.
reply() {
  reply_text=''
  while [ $# -gt 1 ]; do
    reply_text="$reply_text${reply_text:+,}\"$1\":$2"
    shift 2
  done
  printf '{%s}\n' "$reply_text"
}

# fail TYPE MESSAGE: one sentence with what and where.
fail() {
  printf '{"error":"%s","message":%s}\n' "$1" "$(string "$2")"
  exit 1
}

# need TOOL …: names every tool that is missing.
need() {
  need_missing=''
  for need_tool in "$@"; do
    command -v "$need_tool" >/dev/null 2>&1 || need_missing="$need_missing${need_missing:+, }$need_tool"
  done
  [ -z "$need_missing" ] || fail MissingTool "missing on this node: $need_missing (looked in $PATH)"
}

# ---- input ---------------------------------------------------------------------------------------------------------

# read_input "$@": keeps the input for field().
read_input() {
  if [ $# -gt 0 ]; then input_text=$1; else input_text=$(cat); fi
  exec </dev/null # over SSH the program itself is on standard input: no tool may read on there
  INPUT=$(printf '%s' "$input_text" | json_paths) || fail BadInput 'the input is not a JSON object'
}

# field NAME [DEFAULT]: a value of the input; without a default it must be there.
field() {
  field_line=$(printf '%s\n' "$INPUT" | awk -F "$TAB" -v name="$1" '$1 == name { print "=" $2; exit }')
  [ -n "$field_line" ] || [ $# -gt 1 ] || fail BadInput "the input has no \"$1\""
  [ -n "$field_line" ] && printf '%s' "${field_line#=}" || printf '%s' "${2-}"
}

# Sets FIELD, until the next call, to a value that is safe as the name of a file. Not in a subshell, so that fail() ends the verb.
name_field() {
  FIELD=$(field "$1") || { printf '%s\n' "$FIELD"; exit 1; }
  case $FIELD in
    '' | .* | *[!A-Za-z0-9._-]*) fail BadInput "\"$1\" is not a plain name: $FIELD" ;;
  esac
}

# Sets FIELD, until the next call, to a whole number.
number_field() {
  FIELD=$(field "$@") || { printf '%s\n' "$FIELD"; exit 1; }
  case $FIELD in
    # Greater ones do not fit the arithmetic of a shell, whose complaint would be taken for "not greater".
    '' | *[!0-9]* | 0?* | ???????????????????*) fail BadInput "\"$1\" is not a whole number: $FIELD" ;;
  esac
}

# ---- one attempt at a time -----------------------------------------------------------------------------------------

# write_file PATH: standard input becomes the file at once or not at all. Writers hold a lock, so one name for what is not
# whole yet is enough, and a run after a death takes it over. On the disk before it is renamed: what a power cut leaves of a
# renamed file may be empty otherwise.
write_file() {
  cat >"$1.tmp" || { rm -f "$1.tmp"; return 1; }
  sync "$1.tmp" 2>/dev/null || true
  mv -f "$1.tmp" "$1"
}

# Sets SEEN, OWNER and SINCE: the greatest token that this node has seen, which installation of Cutover has it and since
# when, `` when none is named. The file is `TOKEN` or `TOKEN INSTALLATION SINCE`. One that is damaged is never read as "no
# attempt": TOKEN_PROBLEM says what is wrong with it. Without a file an armed dead-man switch names its owner.
seen_token() {
  SEEN=0 OWNER='' SINCE='' TOKEN_PROBLEM=''
  if [ -e "$CUTOVER_DIR/token" ]; then
    # Whole: one line that ends as a line does.
    if { IFS= read -r seen_line && ! IFS= read -r seen_more && [ -z "$seen_more" ]; } 2>/dev/null <"$CUTOVER_DIR/token" && split_token "$seen_line"; then return 0; fi
    if [ -e "$CUTOVER_DIR/token" ]; then
      SEEN=-1 OWNER='' SINCE='' TOKEN_PROBLEM="$CUTOVER_DIR/token is damaged: which attempt owns this node cannot be told, so nothing is changed. Make sure that no Cutover works on this node, then remove that file"
      return 0
    fi
    SEEN=0
  fi
  for seen_armed in "$CUTOVER_DIR"/*/armed; do
    if [ -f "$seen_armed" ]; then read -r OWNER SINCE <"$seen_armed" || true; fi
  done
}

# split_token LINE
split_token() {
  SEEN=${1%% *}
  case $SEEN in '' | *[!0-9]* | 0?* | ???????????????????*) return 1 ;; esac
  [ "$1" != "$SEEN" ] || return 0
  SINCE=${1#* }
  OWNER=${SINCE%% *}
  SINCE=${SINCE#* }
  case $OWNER in '' | *[!a-z0-9-]*) return 1 ;; esac
  case $SINCE in [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z) ;; *) return 1 ;; esac
}

# A token is made from the time in milliseconds, times a thousand. Whether one lies ahead of the clock of this node and of
# the caller's alike: then the clock that made it was wrong, and it would lock the node until that time comes.
from_future() {
  future=$(($1 / 1000000 - CLOCK_AHEAD_SECONDS))
  [ "$future" -gt "$(date +%s)" ] && [ "$future" -gt $((CALLER_NOW / 1000)) ]
}

# Before each effect: the node keeps the greatest token it has seen, and an attempt with a smaller one stops here, as does
# one of another installation.
guard() {
  seen_token
  [ -z "$TOKEN_PROBLEM" ] || fail TokenDamaged "$TOKEN_PROBLEM"
  if [ -n "$OWNER" ] && [ -n "$INSTALLATION" ] && [ "$OWNER" != "$INSTALLATION" ] && [ -z "$TAKES_OVER" ]; then
    reply error '"AttemptFenced"' message "\"the installation $OWNER of Cutover has owned this node since $SINCE; this one is $INSTALLATION\"" \
      details "{\"reason\":\"other-installation\",\"installation\":\"$OWNER\",\"since\":\"$SINCE\",\"token\":$TOKEN}"
    exit 75
  fi
  [ "$SEEN" -gt "$TOKEN" ] || return 0
  if from_future "$SEEN"; then
    fail TokenFromFuture "the token of this node ($SEEN) was made by a clock that was ahead, and would lock the node until then. Make sure that no Cutover works on this node, then remove $CUTOVER_DIR/token"
  fi
  reply error '"AttemptFenced"' message "\"a newer attempt (token $SEEN) owns this node; this one has $TOKEN\"" details "{\"seen\":$SEEN,\"token\":$TOKEN}"
  exit 75
}

# Start of every verb that changes something: claims the node for this attempt, then waits until an older one has seen
# that and left. Equal tokens are the same attempt, and wait for each other too.
claim() {
  need flock
  number_field token
  TOKEN=$FIELD
  number_field now 0
  CALLER_NOW=$FIELD
  INSTALLATION=$(field installation '')
  case $INSTALLATION in *[!a-z0-9-]* | ?????????????????????????????????????????????????????????????????*) fail BadInput "\"installation\" is not a name of 1 to 64 of a-z, 0-9 and -: $INSTALLATION" ;; esac
  TAKES_OVER=''
  [ "$(field takeOver false)" != true ] || TAKES_OVER=1
  if from_future "$TOKEN"; then
    fail TokenFromFuture "the token $TOKEN is more than $((CLOCK_AHEAD_SECONDS / 60)) minutes ahead of the clock of this node: it would lock the node until then. Set the clock of the machine that runs Temporal"
  fi
  mkdir -p "$CUTOVER_DIR" "$RUN_DIR/cutover"
  exec 8>"$RUN_DIR/cutover/token.lock" 9>"$RUN_DIR/cutover/verb.lock"
  flock 8
  guard
  if [ -n "$INSTALLATION" ] && [ "$INSTALLATION" != "$OWNER" ]; then
    claim_owner="$INSTALLATION $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  else
    claim_owner="$OWNER${OWNER:+ $SINCE}"
  fi
  claim_line="$TOKEN${claim_owner:+ $claim_owner}"
  if [ "$SEEN" -ne "$TOKEN" ] || [ "$OWNER${OWNER:+ $SINCE}" != "$claim_owner" ]; then
    printf '%s\n' "$claim_line" | write_file "$CUTOVER_DIR/token" || fail NotWritten "$CUTOVER_DIR/token cannot be written: is the disk full or read-only?"
  fi
  exec 8>&-
  flock -w "$LOCK_WAIT_SECONDS" 9 ||
    fail Busy "an earlier verb still runs on this node after $LOCK_WAIT_SECONDS s (see: fuser $RUN_DIR/cutover/verb.lock)"
  guard
}

# ---- runtime and kubelet -------------------------------------------------------------------------------------------

# Names of the networks that the runtime has loaded, one a line, without the loopback. `lastCNILoadStatus` says OK even
# when nothing was read, so names are what counts (§0a.11 of the migration facts).
loaded_networks() {
  loaded_info=$("$CRICTL" info) || fail RuntimeUnreachable 'crictl info fails: the container runtime does not answer'
  printf '%s' "$loaded_info" | json_paths |
    awk -F "$TAB" '$1 ~ /^cniconfig\.Networks\.[0-9]+\.Config\.Name$/ && $2 != "cni-loopback" { print $2 }'
}

# Conf files in the order in which the runtime tries them, one a line: the first by name wins. A name may hold anything but
# `/`: a line break in one is \001 here, and conf_path gives it back.
conf_files() {
  find "$CNI_CONF_DIR" -maxdepth 1 -type f \( -name '*.conf' -o -name '*.conflist' -o -name '*.json' \) -print0 2>/dev/null |
    tr '\n\000' '\001\n' | sort
}

# conf_path LINE: sets CONF to the path that conf_files printed so. The dot keeps a line break at its end.
conf_path() {
  CONF=$(printf '%s.' "$1" | tr '\001' '\n')
  CONF=${CONF%.}
}

# Sets CONF to the first conf, `` when there is none.
first_conf() { conf_path "$(conf_files | head -n 1)"; }

conf_network() { json_paths <"$1" | awk -F "$TAB" '$1 == "name" { print $2; exit }'; }

is_loaded() { printf '%s\n' "$LOADED" | grep -qxF "$1"; }

# wait_loaded NETWORK SECONDS: sets LOADED, and returns 1 when the network is still not among them. Half way it renames
# the first conf onto itself: a rename inside the folder is noticed, a file moved in from elsewhere was not (§0a.11).
wait_loaded() {
  wait_start=$(date +%s)
  wait_nudged=''
  while :; do
    LOADED=$(loaded_networks) || { printf '%s\n' "$LOADED"; exit 1; }
    is_loaded "$1" && return 0
    wait_passed=$(($(date +%s) - wait_start))
    [ "$wait_passed" -lt "$2" ] || return 1
    if [ -z "$wait_nudged" ] && [ $((wait_passed * 2)) -ge "$2" ]; then
      wait_nudged=1
      first_conf
      # On a full disk there is no copy to rename; that its beginning goes again is noticed as well.
      if [ -z "$CONF" ]; then :; elif cp -p "$CONF" "$CONF.cutover"; then mv -f "$CONF.cutover" "$CONF"; else rm -f "$CONF.cutover"; fi
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
}

# `ID NETWORK STATE NAMESPACE NAME` of every sandbox, one a line, tab-separated. NETWORK is POD, NODE, or what it says.
sandboxes() {
  sandboxes_json=$("$CRICTL" pods -o json) || fail RuntimeUnreachable 'crictl pods fails: the container runtime does not answer'
  sandboxes_rows=$(printf '%s' "$sandboxes_json" | json_paths | awk -F "$TAB" '
    $1 ~ /^items\.[0-9]+\.(id|state|metadata\.(name|namespace))$/ {
      size = split($1, part, "."); at = part[2] + 0; if (at > last) last = at
      field[at, part[size]] = $2
    }
    END { for (i = 0; i <= last; i++) if ((i, "id") in field)
      print field[i, "id"] "\t" field[i, "state"] "\t" field[i, "namespace"] "\t" field[i, "name"] }')
  [ -n "$sandboxes_rows" ] || return 0
  sandboxes_ids=$(printf '%s\n' "$sandboxes_rows" | cut -f 1)
  # All in one call: each call is a process that starts, and a node has many. It fails as a whole when one of them went away
  # since the listing, so then each is asked alone; that one has no answer, and is none any more.
  # Ids are one word each.
  # shellcheck disable=SC2086
  sandboxes_networks=$(sandbox_networks $sandboxes_ids) ||
    sandboxes_networks=$(for sandbox_id in $sandboxes_ids; do sandbox_networks "$sandbox_id" || true; done)
  printf '%s\n' "$sandboxes_networks" "$sandboxes_rows" | awk -F "$TAB" -v OFS="$TAB" '
    NF == 2 { network[$1] = $2 }
    NF == 4 && ($1 in network) { print $1, network[$1], $2, $3, $4 }'
}

# sandbox_networks ID…: `ID NETWORK` of each, `unknown` for one that says none; 1 unless every one has answered. Without -q
# an answer has the whole OCI spec in it, which awk reads for a tenth of a second. Asked for several, crictl prints a list;
# older ones print one answer after the other.
sandbox_networks() {
  "$CRICTL" inspectp -q "$@" 2>/dev/null | json_paths | awk -F "$TAB" -v OFS="$TAB" -v wanted="$#" '
    function answer() { if (id != "") { print id, (network == "" ? "unknown" : network); answered++ } id = network = "" }
    { at = $1; sub(/\.?status\..*/, "", at) }
    at != last { answer(); last = at }
    $1 ~ /^([0-9]+\.)?status\.id$/ { answer(); id = $2 }
    $1 ~ /^([0-9]+\.)?status\.linux\.namespaces\.options\.network$/ { network = $2 }
    END { answer(); exit (answered != wanted) }'
}

# Sets SANDBOXES, or ends the verb when a sandbox is neither POD nor NODE: etcd and the API server are never guessed at.
read_sandboxes() {
  SANDBOXES=$(sandboxes) || { printf '%s\n' "$SANDBOXES"; exit 1; }
  read_odd=$(printf '%s\n' "$SANDBOXES" | awk -F "$TAB" 'NF && $2 != "POD" && $2 != "NODE" { print $4 "/" $5 " (network " $2 ")"; exit }')
  [ -z "$read_odd" ] || fail UnknownSandbox "cannot tell whether this sandbox has a pod network: $read_odd"
}

# Ids of the sandboxes of one network kind. Second argument: only those in that state.
sandbox_ids() { printf '%s\n' "$SANDBOXES" | awk -F "$TAB" -v kind="$1" -v state="${2-}" '$2 == kind && (state == "" || $3 == state) { print $1 }'; }

# container_runs NAME: whether a container of that name runs.
container_runs() {
  container_json=$("$CRICTL" ps -o json) || fail RuntimeUnreachable 'crictl ps fails: the container runtime does not answer'
  printf '%s' "$container_json" | json_paths | awk -F "$TAB" -v name="$1" '
    $1 ~ /^containers\.[0-9]+\.metadata\.name$/ { split($1, p, "."); named[p[2]] = $2 == name }
    $1 ~ /^containers\.[0-9]+\.state$/ { split($1, p, "."); running[p[2]] = $2 == "CONTAINER_RUNNING" }
    END { for (i in named) if (named[i] && running[i]) found = 1; exit !found }'
}

is_active() { "$SYSTEMCTL" is-active --quiet "$1"; }

# Removes the units of the dead-man switch, so that no start of the node brings it back; 1 when they stay. What wants the
# timer is removed by hand: systemctl disable reads all units again, and the switch does this from inside its own service.
remove_revert_units() {
  rm -f "$SYSTEMD_DIR/timers.target.wants/$REVERT_UNIT.timer" "$SYSTEMD_DIR/$REVERT_UNIT.timer" "$SYSTEMD_DIR/$REVERT_UNIT.service" \
    "$SYSTEMD_DIR/$REVERT_UNIT.timer.tmp" "$SYSTEMD_DIR/$REVERT_UNIT.service.tmp" 2>/dev/null
}

count() { awk 'NF { n++ } END { printf "%d", n }'; }

# Files of the lease folder that are named after an address, beside `lock` and `last_reserved_ip.0`.
leases() { find "$CNI_LEASE_DIR/$FLANNEL_NETWORK" -type f 2>/dev/null | sed 's|.*/||' | awk '/^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$|:/' | sort; }

# purge_sandboxes: stop and remove every sandbox in $1, through the conf that is loaded now. Sets PURGED and PURGE_ERROR.
# All in one call: crictl does them side by side, and one with a running container takes a third of a second.
purge_sandboxes() {
  PURGED=0
  PURGE_ERROR=''
  [ -n "$1" ] || return 0
  guard
  # Ids are one word each.
  # shellcheck disable=SC2086
  purge_output=$("$CRICTL" rmp -f $1 2>&1) || PURGE_ERROR=$purge_output
  PURGED=$(printf '%s\n' "$purge_output" | awk '/^Removed sandbox / { n++ } END { printf "%d", n }')
}

# ---- routes --------------------------------------------------------------------------------------------------------

# await_route SECONDS SELECTOR...: until `ip route show SELECTOR...` has one, so many seconds at most.
await_route() {
  route_end=$(($(date +%s) + $1))
  shift
  while [ -z "$(ip route show "$@" 2>/dev/null)" ] && [ "$(date +%s)" -lt "$route_end" ]; do
    sleep 0.1 2>/dev/null || sleep 1
  done
}

# ---- packet filters ------------------------------------------------------------------------------------------------

# filter_tool BACKEND FAMILY: prints the prefix of `…-save` and `…-restore`; 1 when this backend is not in use.
# Reading a table of the legacy backend would create it, and every nft command warns from then on (§0a.12): the kernel's
# own list says whether it is in use.
filter_tool() {
  if [ "$2" = ip6 ]; then tool_name=ip6tables tool_list=/proc/net/ip6_tables_names; else tool_name=iptables tool_list=/proc/net/ip_tables_names; fi
  if [ "$1" = legacy ]; then
    [ -n "$(cat "$tool_list" 2>/dev/null)" ] || return 1
    if command -v "$tool_name-legacy-save" >/dev/null 2>&1; then echo "$tool_name-legacy"; return 0; fi
    case $("$tool_name" --version 2>/dev/null) in *legacy* | *v1.[0-7]*) echo "$tool_name"; return 0 ;; esac
    fail MissingTool "missing on this node: $tool_name-legacy (the kernel has legacy tables)"
  fi
  if command -v "$tool_name-nft-save" >/dev/null 2>&1; then echo "$tool_name-nft"; return 0; fi
  case $("$tool_name" --version 2>/dev/null) in *nf_tables*) echo "$tool_name"; return 0 ;; esac
  return 1
}

legacy_tables() { cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | sort -u; }

# clean_rules CHAIN RULE: in every backend, family and table, deletes the chains whose name matches CHAIN, and the rules of
# built-in chains that match RULE, by their exact text: nothing else is touched, one transaction a table. Rules of other
# chains are not looked at: kube-proxy writes Service names into comments of KUBE-*. Adds to RULES_REMOVED.
clean_rules() {
  command -v iptables >/dev/null 2>&1 || command -v iptables-nft-save >/dev/null 2>&1 || command -v iptables-legacy-save >/dev/null 2>&1 || need iptables
  for rules_backend in nft legacy; do
    for rules_family in ip ip6; do
      rules_tool=$(filter_tool "$rules_backend" "$rules_family") || { [ -z "$rules_tool" ] || { printf '%s\n' "$rules_tool"; exit 1; }; continue; }
      rules_all=$("$rules_tool-save" 2>/dev/null) || fail FilterUnreadable "$rules_tool-save fails"
      case $rules_all in *'is incompatible'*) fail FilterUnreadable "$rules_tool-save cannot read a table that another program wrote with nft" ;; esac
      for rules_table in raw mangle filter nat; do
        rules_script=$(printf '%s\n' "$rules_all" | awk -v table="*$rules_table" -v chain="$1" -v rule="$2" '
          /^\*/ { here = $1 == table; next }
          !here { next }
          /^:/ { name = substr($1, 2); if (name ~ chain) { flush = flush "-F " name "\n"; drop = drop "-X " name "\n" } next }
          /^-A / && $2 ~ /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/ && $0 ~ rule { sub(/^-A/, "-D"); print }
          END { printf "%s%s", flush, drop }')
        [ -n "$rules_script" ] || continue
        guard
        printf '*%s\n%s\nCOMMIT\n' "$rules_table" "$rules_script" | "$rules_tool-restore" -w --noflush ||
          fail FilterRefused "$rules_tool-restore refuses to clean the table $rules_table"
        RULES_REMOVED=$((RULES_REMOVED + $(printf '%s\n' "$rules_all" | awk -v table="*$rules_table" -v chain="$1" -v rule="$2" '
          /^\*/ { here = $1 == table; next }
          here && /^-A / && ($2 ~ chain || ($2 ~ /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/ && $0 ~ rule)) { n++ }
          END { printf "%d", n }')))
      done
    done
  done
}

# delete_nft_table FAMILY NAME: a table that the CNI wrote with nft itself.
delete_nft_table() {
  command -v nft >/dev/null 2>&1 || return 0
  nft list tables 2>/dev/null | grep -qxF "table $1 $2" || return 0
  guard
  nft delete table "$1" "$2"
}

# delete_link NAME: adds to LINKS_REMOVED when it was there.
delete_link() {
  ip link show dev "$1" >/dev/null 2>&1 || return 0
  guard
  ip link delete dev "$1"
  LINKS_REMOVED="$LINKS_REMOVED$1
"
}

# ---- what Calico leaves --------------------------------------------------------------------------------------------

# Sets LINKS_REMOVED, ROUTES_REMOVED, RULES_REMOVED and IPSETS_REMOVED.
clean_calico() {
  LINKS_REMOVED='' ROUTES_REMOVED=0 RULES_REMOVED=0 IPSETS_REMOVED=0
  for calico_part in routes links rules ipsets tables files; do "clean_calico_$calico_part"; done
}

# Felix's blackhole of each own block is more specific than Flannel's /24 on cni0: every Flannel pod of the node would
# be unreachable, even for its own kubelet (§0a.2). BIRD writes the same routes as protocol 12.
clean_calico_routes() {
  for calico_family in -4 -6; do
    for calico_protocol in 80 12; do
      calico_routes=$(ip "$calico_family" route show proto "$calico_protocol" 2>/dev/null | count)
      [ "$calico_routes" -gt 0 ] || continue
      guard
      ip "$calico_family" route flush proto "$calico_protocol"
      ip "$calico_family" route flush type blackhole proto "$calico_protocol" 2>/dev/null || true
      ROUTES_REMOVED=$((ROUTES_REMOVED + calico_routes))
    done
  done
}

clean_calico_links() {
  for calico_link in $(ip -o link show | awk '{ name = $2; sub(/[@:].*/, "", name); if (name ~ /^(vxlan(-v6)?\.calico|cali[0-9a-f]+)$/) print name }'); do
    delete_link "$calico_link"
  done
}

# Two of Felix's FORWARD rules name no cali chain and are known by their comment alone (§0a.3).
clean_calico_rules() { clean_rules '^cali-' '(-[jg] cali-|--comment "?cali:)'; }

clean_calico_ipsets() {
  if command -v ipset >/dev/null 2>&1; then
    for calico_set in $(ipset list -n 2>/dev/null | grep -E '^cali[46]0' || true); do
      guard
      ipset destroy "$calico_set"
      IPSETS_REMOVED=$((IPSETS_REMOVED + 1))
    done
  elif [ -d /sys/module/ip_set ]; then
    need ipset
  fi
}

clean_calico_tables() {
  delete_nft_table ip calico
  delete_nft_table ip6 calico
}

# found_without FILE PATTERN: a snapshot on this node says that this was not there.
found_without() {
  for found_kept in "$CUTOVER_DIR"/*/snapshot; do
    if [ -f "$found_kept/$1" ] && ! grep -qE "$2" "$found_kept/$1"; then return 0; fi
  done
  return 1
}

# What Calico brought that no rule names: its plugins, and tables of iptables-nft that are empty again. Only a snapshot can
# tell that somebody else did not have them before.
clean_calico_files() {
  for calico_plugin in calico calico-ipam; do
    [ -e "$CNI_BIN_DIR/$calico_plugin" ] || continue
    found_without cni-bin.txt "(^| )$calico_plugin\$" || continue
    guard
    rm -f "${CNI_BIN_DIR:?}/$calico_plugin"
  done
  for calico_table in raw mangle; do
    for calico_family in ip ip6; do
      calico_tool=$(filter_tool nft "$calico_family") || continue
      found_without nft.txt "^table $calico_family $calico_table( |\$)" || continue
      case $("$calico_tool-save" -t "$calico_table" 2>/dev/null) in *'
-A '* | *' - ['*) continue ;; esac
      delete_nft_table "$calico_family" "$calico_table"
    done
  done
}
