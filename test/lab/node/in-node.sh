#!/bin/sh
# in-node.sh CGROUP PID COMMAND …: runs a command in the namespaces and control groups of the node whose process 1 is PID.
# nsenter alone would leave it in the control groups of its caller.
set -eu
cgroup=$1 pid=$2
shift 2
for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd unified; do
  echo $$ >"/sys/fs/cgroup/$controller/$cgroup/cgroup.procs"
done
exec nsenter --target "$pid" --mount --net --uts --ipc --pid --cgroup -- "$@"
