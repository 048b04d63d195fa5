#!/bin/bash
# The continuous probe. Runs for the whole migration in every probe pod, sends one packet a tick to each of a few fixed peers,
# and writes down who did not answer, since when, and for how long. Nobody has to read along: $dir/report is short at any time.
#
# bash, which agnhost has, and not sh: /dev/udp and /dev/tcp keep one socket for hours without a process for each packet.
# A tick costs two processes (curl, dig) and some hundred bytes for each peer.
#
#   ROLE=pod   from the pod network: one UDP socket and one TCP connection to each peer's probe pod, each peer's NodePort,
#              the ClusterIP of the probes' Service, DNS
#   ROLE=host  from the node's own network to the peers' node addresses: the canary. It uses neither pod network nor overlay,
#              so when it loses, the prober starved or the underlay is down, and what ROLE=pod saw then proves nothing.
#
# Report: one line each, fields separated by blanks, times in seconds since the epoch.
#   head   <role> <node> <since> <now> <ticks> <outages dropped>
#   stream <kind> <peer> <address> <sent> <lost> <connections broken> <longest outage, s>
#   outage <kind> <peer> <from> <to, 0: it lasts> <lost> <lost|broken|moved|late>
#   end
# moved: the peer's pod has another address now, so the loss was its pod's; late: this program itself did not run.
set -u
export LC_ALL=C
trap '' PIPE

conf=${STREAM_CONF:-/etc/cutover}
dir=${STREAM_DIR:-/run/cutover}
interval=${INTERVAL:-1}
answer_within=0.8        # seconds, of one tick
give_up_after=30         # ticks without an answer, after which a TCP connection counts as broken
most_outages=200

mkdir -p "$dir"
rm -f "$dir"/*
mkfifo "$dir/quiet"
exec {quiet}<>"$dir/quiet"

# --- peers and streams ------------------------------------------------------------------------------------------------
peer=() node_ip=() address=()
kind=() of=() sent=() lost=() broken=() longest=() since=() missed=() socket=() asked=() answered=() rest=()
outages=() dropped=0

add_stream() { # kind, index of the peer or -1
  kind+=("$1") of+=("$2") sent+=(0) lost+=(0) broken+=(0) longest+=(0) since+=(0) missed+=(0)
  socket+=('') asked+=(0) answered+=(0) rest+=('')
}

read_peers() { # lines of $conf/peers: node, peer, the peer's node address
  local node name ip
  while read -r node name ip; do
    [[ $node == "$NODE_NAME" ]] || continue
    peer+=("$name") node_ip+=("$ip") address+=('')
  done <"$conf/peers"
}

plan_streams() {
  local p
  : >"$dir/urls"
  for p in "${!peer[@]}"; do
    if [[ $ROLE == host ]]; then
      add_http canary "$p" "http://${node_ip[p]}:$HOST_HTTP_PORT/hostname"
    else
      add_stream udp "$p"
      add_stream tcp "$p"
      add_http node-port "$p" "http://${node_ip[p]}:$NODE_PORT/hostname"
    fi
  done
  [[ $ROLE == pod && ${#peer[@]} -gt 0 ]] || return 0
  add_http cluster-ip -1 "http://$(<"$conf/cluster-ip"):$HTTP_PORT/hostname"
  add_stream dns -1
}

http_streams=()
add_http() { # kind, peer, URL
  http_streams+=("${#kind[@]}")
  add_stream "$1" "$2"
  printf 'url = "%s"\noutput = "/dev/null"\n' "$3" >>"$dir/urls"
}

# The cluster's own domain need not be cluster.local, and resolv.conf knows it.
dns_name() {
  local word words
  while read -r -a words; do
    [[ ${words[0]:-} == search ]] || continue
    for word in "${words[@]:1}"; do
      [[ $word == svc.* ]] && printf 'kubernetes.default.%s' "$word" && return
    done
  done </etc/resolv.conf
  printf 'kubernetes.default.svc.cluster.local'
}

# --- what happened ----------------------------------------------------------------------------------------------------
write_outage() { # kind, peer, from, to, lost, why
  outages+=("outage $1 $2 $3 $4 $5 $6")
  if ((${#outages[@]} > most_outages)); then
    outages=("${outages[@]:1}")
    dropped=$((dropped + 1))
  fi
}

name_of() { # stream
  local p=${of[$1]}
  if ((p < 0)); then printf -- '-'; else printf '%s' "${peer[p]}"; fi
}

end_outage() { # stream, why
  ((since[$1] > 0)) || return 0
  write_outage "${kind[$1]}" "$(name_of "$1")" "${since[$1]}" "$second" "${missed[$1]}" "$2"
  since[$1]=0 missed[$1]=0
}

note() { # stream, 1: the packet of this tick was answered
  local i=$1
  if (($2)); then
    # What was not there yet when this pod started has not been lost.
    ((sent[i] > lost[i] || missed[i] > give_up_after)) || sent[i]=0 lost[i]=0 longest[i]=0 since[i]=0 missed[i]=0
    sent[i]=$((sent[i] + 1))
    end_outage "$i" lost
    return
  fi
  sent[i]=$((sent[i] + 1))
  lost[i]=$((lost[i] + 1)) missed[i]=$((missed[i] + 1))
  ((since[i] > 0)) || since[i]=$second
  ((second + interval - since[i] <= longest[i])) || longest[i]=$((second + interval - since[i]))
}

shut() { # stream
  local fd=${socket[$1]}
  [[ -n $fd ]] || return 0
  { exec {fd}>&-; } 2>/dev/null
  socket[$1]='' asked[$1]=0 answered[$1]=0 rest[$1]=''
}

break_connection() { # stream
  broken[$1]=$((broken[$1] + 1))
  if ((since[$1] > 0)); then end_outage "$1" broken; else write_outage tcp "$(name_of "$1")" "$second" "$second" 0 broken; fi
  shut "$1"
}

# --- long-lived sockets -----------------------------------------------------------------------------------------------
open_socket() { # stream, protocol, port
  local fd
  # A redirection to /dev/udp connects at once; one to /dev/tcp waits, so somebody has knocked first.
  { exec {fd}<>"/dev/$2/${address[of[$1]]}/$3"; } 2>/dev/null || return 0
  socket[$1]=$fd asked[$1]=0 answered[$1]=0 rest[$1]=''
}

# In a process of its own: what printf could not write would stay in its buffer and come out in the next file.
say() { # stream, text
  (printf %s "$2" >&"${socket[$1]}") 2>/dev/null
}

send_long() {
  local i
  for i in "${!kind[@]}"; do
    [[ ${kind[i]} == udp || ${kind[i]} == tcp ]] || continue
    [[ -n ${address[of[i]]} ]] || continue
    if [[ ${kind[i]} == udp ]]; then
      [[ -n ${socket[i]} ]] || open_socket "$i" udp "$UDP_PORT"
      # One digit: bash reads a socket byte by byte, and a datagram loses what was not read at once.
      [[ -n ${socket[i]} ]] && say "$i" "echo $((tick % 10))"
    elif [[ -n ${socket[i]} ]]; then
      if say "$i" $'GET /hostname HTTP/1.1\r\nHost: probe\r\n\r\n'; then
        asked[i]=$((asked[i] + 1))
      else
        break_connection "$i"
      fi
    fi
  done
}

hear_udp() { # stream
  local digit ok=0
  while [[ -n ${socket[$1]} ]] && read -r -N 1 -t 0.005 -u "${socket[$1]}" digit 2>/dev/null; do
    [[ $digit == $((tick % 10)) ]] && ok=1
  done
  note "$1" "$ok"
  # A socket that got "port unreachable" or whose conntrack entry points nowhere would stay deaf: a new one each few ticks.
  ((ok)) || ((missed[$1] % 5)) || shut "$1"
}

hear_tcp() { # stream
  local i=$1 line status
  if [[ -z ${socket[i]} ]]; then
    note "$i" 0
    return
  fi
  while :; do
    read -r -t 0.005 -u "${socket[i]}" line 2>/dev/null
    status=$?
    rest[i]+=$line
    [[ ${rest[i]} == *HTTP/1.1\ 200* ]] && answered[i]=$((answered[i] + 1)) rest[i]=''
    ((status == 0)) || break
    rest[i]=''
  done
  if ((status <= 128)); then # the end of the stream, and no time-out
    note "$i" 0
    break_connection "$i"
    return
  fi
  note "$i" $((answered[i] >= asked[i]))
  ((missed[i] < give_up_after)) || break_connection "$i"
}

# --- a peer's pod gets another address when its node is migrated ---------------------------------------------------------
# Who stands behind the peer's hostPort says its name and address: on a migrated node an old rule may lead to a stranger.
ask_address() { # peer
  curl -s --max-time "$answer_within" "http://${node_ip[$1]}:$HOST_PORT/shell?cmd=echo%20%24NODE_NAME%20%24POD_IP" >"$dir/found.$1" 2>/dev/null
}

take_address() { # peer
  local p=$1 body='' i
  read -r body <"$dir/found.$p" 2>/dev/null
  : >"$dir/found.$p"
  [[ $body =~ \"output\":\"([^\ ]+)\ ([0-9a-f.:]+) && ${BASH_REMATCH[1]} == "${peer[p]}" ]] || return 0
  [[ ${BASH_REMATCH[2]} != "${address[p]}" ]] || return 0
  if [[ -n ${address[p]} ]]; then
    for i in "${!kind[@]}"; do
      [[ ${of[i]} == "$p" && (${kind[i]} == udp || ${kind[i]} == tcp) ]] || continue
      end_outage "$i" moved
      shut "$i"
    done
  fi
  address[p]=${BASH_REMATCH[2]}
}

needs_address() { # peer
  local i
  [[ -n ${address[$1]} ]] || return 0
  for i in "${!kind[@]}"; do
    [[ ${of[i]} == "$1" && ${kind[i]} == udp ]] && ((missed[i] >= 2 && missed[i] % 2 == 0)) && return 0
  done
  return 1
}

knock() { # peer
  curl -s -o /dev/null --max-time "$answer_within" "http://${address[$1]}:$HTTP_PORT/hostname" && : >"$dir/open.$1"
}

# --- one tick -----------------------------------------------------------------------------------------------------------
# wait -n would need a list; these are all children of this tick, and each has a time limit of its own.
ask_all() {
  local p i
  jobs_of_tick=()
  if ((${#http_streams[@]})); then
    curl -s -Z --max-time "$answer_within" -H 'Connection: close' -K "$dir/urls" -w '%{urlnum} %{http_code}\n' >"$dir/http" 2>/dev/null &
    jobs_of_tick+=($!)
  fi
  [[ $ROLE == pod ]] || return 0
  dig +short +time=1 +tries=1 "$name" >"$dir/dns" 2>/dev/null &
  jobs_of_tick+=($!)
  for p in "${!peer[@]}"; do
    if needs_address "$p"; then
      ask_address "$p" &
      jobs_of_tick+=($!)
    fi
    for i in "${!kind[@]}"; do
      [[ ${of[i]} == "$p" && ${kind[i]} == tcp && -z ${socket[i]} && -n ${address[p]} ]] || continue
      knock "$p" &
      jobs_of_tick+=($!)
    done
  done
}

hear_all() {
  local i urlnum code line ok
  local -A code_of=()
  if ((${#http_streams[@]})); then
    while read -r urlnum code; do code_of[$urlnum]=$code; done <"$dir/http"
    for urlnum in "${!http_streams[@]}"; do
      note "${http_streams[urlnum]}" $(( ${code_of[$urlnum]:-0} == 200 ))
    done
  fi
  for i in "${!kind[@]}"; do
    case ${kind[i]} in
      udp) [[ -z ${address[of[i]]} ]] || hear_udp "$i" ;;
      tcp) [[ -z ${address[of[i]]} ]] || hear_tcp "$i" ;;
      dns)
        line='' ok=0
        read -r line <"$dir/dns"
        [[ $line =~ ^[0-9a-f.:]+$ ]] && ok=1
        note "$i" "$ok"
        ;;
    esac
  done
  for i in "${!peer[@]}"; do
    [[ ! -s $dir/found.$i ]] || take_address "$i"
  done
}

# After the answers were judged: what is opened here is asked from the next tick on.
open_connections() {
  local i p
  for i in "${!kind[@]}"; do
    p=${of[i]}
    [[ ${kind[i]} == tcp && -z ${socket[i]} && -e $dir/open.$p ]] || continue
    open_socket "$i" tcp "$HTTP_PORT"
  done
  rm_opened
}

rm_opened() {
  local f
  for f in "$dir"/open.*; do
    [[ ! -e $f ]] || rm -f "$f"
  done
}

write_report() {
  local i p at
  {
    printf 'head %s %s %d %d %d %d\n' "$ROLE" "$NODE_NAME" "$started" "$now" "$tick" "$dropped"
    for i in "${!kind[@]}"; do
      p=${of[i]} at=-
      ((p < 0)) || at=${address[p]:--}
      printf 'stream %s %s %s %d %d %d %d\n' "${kind[i]}" "$(name_of "$i")" "$at" "${sent[i]}" "${lost[i]}" "${broken[i]}" "${longest[i]}"
      ((since[i] == 0)) || printf 'outage %s %s %d 0 %d lost\n' "${kind[i]}" "$(name_of "$i")" "${since[i]}" "${missed[i]}"
    done
    ((${#outages[@]} == 0)) || printf '%s\n' "${outages[@]}"
    printf 'end\n'
  } >"$dir/report"
}

rest_until() { # microseconds since the epoch
  local left=$(($1 - ${EPOCHREALTIME/./}))
  ((left > 0)) || return 0
  read -r -t "$((left / 1000000)).$(printf %06d $((left % 1000000)))" -u "$quiet"
}

read_peers
plan_streams
name=$(dns_name)
started=$EPOCHSECONDS tick=0 jobs_of_tick=()
while :; do
  began=${EPOCHREALTIME/./} second=$EPOCHSECONDS now=$EPOCHSECONDS
  send_long
  ask_all
  rest_until $((began + 800000))
  ((${#jobs_of_tick[@]} == 0)) || wait "${jobs_of_tick[@]}"
  now=$EPOCHSECONDS
  # A tick has a time limit: longer means that this program was not given the processor, and its losses are its own.
  ((now - second <= 2 * interval + 1)) || write_outage late - "$second" "$now" 0 late
  hear_all
  open_connections
  tick=$((tick + 1))
  write_report
  rest_until $((began + interval * 1000000))
done
