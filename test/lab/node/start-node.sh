#!/bin/sh
# start-node.sh CGROUP NAME FOLDER TREE PROGRAMS: joins the node's control groups, then boots it. The process that this
# becomes lives as long as the node; its only child is the node's process 1.
set -eu
cgroup=$1
shift
for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd unified; do
  echo $$ >"/sys/fs/cgroup/$controller/$cgroup/cgroup.procs"
done
exec unshare --mount --net --uts --ipc --pid --cgroup --fork --propagation private "$(dirname "$0")/boot.sh" "$@"
