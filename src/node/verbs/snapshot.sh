#!/bin/sh
# snapshot {"migration": …, "token": …}: keeps all that rollback needs, byte for byte, before anything is deleted.
# Made aside and renamed when it is whole; an earlier snapshot of the same migration is never overwritten.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

# keep NAME COMMAND …: the output of a command, when it has any to give.
keep() {
  keep_name=$1
  shift
  "$@" >"$NEW/$keep_name" 2>/dev/null || rm -f "$NEW/$keep_name"
}

sysctls() { find /proc/sys/net \( -name rp_filter -o -name '*forward*' \) -type f 2>/dev/null | sort | while read -r key; do printf '%s = %s\n' "$key" "$(cat "$key" 2>/dev/null)"; done; }

take() {
  mkdir -p "$NEW/net.d"
  if [ -d "$CNI_CONF_DIR" ]; then cp -Rp "$CNI_CONF_DIR/." "$NEW/net.d/"; fi
  if [ -d "$CNI_LEASE_DIR" ]; then cp -Rp "$CNI_LEASE_DIR" "$NEW/networks"; fi
  if [ -f "$RUN_DIR/flannel/subnet.env" ]; then cp -p "$RUN_DIR/flannel/subnet.env" "$NEW/subnet.env"; fi
  keep cni-bin.txt ls -l "$CNI_BIN_DIR"
  keep links.txt ip -d link show
  keep addresses.txt ip addr show
  keep routes.txt ip route show table all
  keep routes6.txt ip -6 route show table all
  keep rules.txt ip rule show
  keep rules6.txt ip -6 rule show
  keep neighbours.txt ip neigh show
  keep fdb.txt bridge fdb show
  keep bridge-links.txt bridge link show
  for backend in nft legacy; do
    for family in ip ip6; do
      tool=$(filter_tool "$backend" "$family") || continue
      keep "$tool.txt" "$tool-save"
    done
  done
  keep nft.txt nft list ruleset
  keep ipset.txt ipset save
  keep sysctl.txt sysctls
  keep pods.json "$CRICTL" pods -o json
  keep runtime.json "$CRICTL" info
  # By find itself: a name may hold anything, and sha256sum writes down a line break in one so that it reads it back.
  (cd "$NEW" && find . -type f ! -path ./SHA256SUMS -exec sha256sum {} + | sort -k 2 >SHA256SUMS)
}

main() {
  read_input "$@"
  need ip "$CRICTL" sha256sum
  name_field migration
  DIR="$CUTOVER_DIR/$FIELD/snapshot"
  NEW="$DIR.new"
  claim
  existed=true
  if [ ! -d "$DIR" ]; then
    existed=false
    guard
    rm -rf "$NEW"
    take
    guard
    mv "$NEW" "$DIR"
  fi
  (cd "$DIR" && sha256sum -c SHA256SUMS >/dev/null 2>&1) || fail SnapshotBroken "the snapshot in $DIR is not what was written"
  reply \
    path "$(string "$DIR")" \
    sha256 "\"$(sha256sum "$DIR/SHA256SUMS" | cut -c 1-64)\"" \
    kept "$(sed 's/^[\\]\{0,1\}[0-9a-f]*  \.\///' "$DIR/SHA256SUMS" | strings)" \
    existed "$existed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
