#!/bin/sh
# fence {"confName": …, "waitSeconds": …, "token": …}: no pod gets a network until the new CNI has written its own conf.
# A conflist whose plugin does not exist makes the runtime refuse every sandbox; kubelet tries again by itself.
# shellcheck source=src/node/verbs/lib.sh
[ -n "${CUTOVER_LIB-}" ] || . "$(dirname "$0")/lib.sh"

main() {
  read_input "$@"
  need "$CRICTL"
  name_field confName
  conf="$CNI_CONF_DIR/$FIELD"
  number_field waitSeconds
  seconds=$FIELD
  claim
  existed=true
  if [ "$(conf_network "$conf" 2>/dev/null || true)" != "$FENCE_NETWORK" ]; then
    existed=false
    guard
    # Renamed inside the folder: the runtime does not notice a file that is moved in from elsewhere (§0a.11).
    printf '{"cniVersion":"0.3.1","name":"%s","plugins":[{"type":"%s"}]}\n' "$FENCE_NETWORK" "$FENCE_NETWORK" | write_file "$conf"
    chmod 644 "$conf"
  fi
  first_conf
  [ "$CONF" = "$conf" ] || fail FenceNotFirst "the fence ${conf##*/} does not come first in $CNI_CONF_DIR: ${CONF##*/} does"
  wait_loaded "$FENCE_NETWORK" "$seconds" ||
    fail NotLoaded "after $seconds s the runtime has not loaded the fence ${conf##*/}; it has: $(printf '%s' "${LOADED:-nothing}" | tr '\n' ' ')"
  reply loaded "$(printf '%s\n' "$LOADED" | strings)" existed "$existed"
}

# The last line: nothing runs before the whole program has arrived.
main "$@"
