#!/bin/bash
# boot.sh NAME FOLDER TREE PROGRAMS: becomes the first process of a lab node. Called by start-node.sh, which has put it into
# its control groups and into new mount, network, UTS, IPC, PID and cgroup namespaces.
#
# The root is the Debian tree under a layer of the node's own, which outlives a power cut. Below it everything is as on a
# machine: systemd runs as process 1 and starts sshd, containerd and kubelet.
set -eu
name=$1 folder=$2 tree=$3 programs=$4
controllers='cpu cpuacct cpuset memory devices freezer blkio pids'

hostname "$name"
mount --make-rprivate /
root=$folder/root
mkdir -p "$folder/upper" "$folder/work" "$root"
rm -rf "$folder/work"/*
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$folder/upper,workdir=$folder/work" "$root"
cd "$root"
mkdir -p .old opt/lab/bin var/lib/containerd var/lib/kubelet var/log/pods

# Snapshots of the runtime are overlays, and an overlay's upper layer cannot lie on an overlay.
mount --bind "$folder/containerd" var/lib/containerd
mount --bind "$folder/kubelet" var/lib/kubelet
mount --bind "$folder/pod-logs" var/log/pods
mount --bind "$programs" opt/lab/bin

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t bpf bpf sys/fs/bpf
mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
for controller in $controllers; do
  mkdir "sys/fs/cgroup/$controller"
  mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller"
done
mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 sys/fs/cgroup/unified

mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty kmsg fuse net/tun; do
  [ -e "/dev/$device" ] || continue
  mkdir -p "dev/$(dirname "$device")"
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
touch dev/console
mount --bind /dev/null dev/console
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs shm dev/shm
mount -t mqueue mqueue dev/mqueue
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp

pivot_root . .old
cd /
umount -l /.old
rmdir /.old
# Pods that mount with Bidirectional propagation need a shared root.
mount --make-rshared /

# Settings of the one kernel that all nodes share: the node may write them, and only it sees that.
mkdir -p /run/own-sysctl
for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
  kernel/keys/root_maxbytes kernel/core_pattern kernel/pid_max fs/nr_open fs/file-max fs/inotify/max_user_instances; do
  [ -e "/proc/sys/$key" ] || continue
  own=/run/own-sysctl/$(echo "$key" | tr / .)
  cat "/proc/sys/$key" >"$own"
  mount --bind "$own" "/proc/sys/$key"
done

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
touch /run/waits-for-network
# The cable is plugged in from outside.
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
. /etc/lab-node
ip address replace "$ADDRESS/$PREFIX" dev eth0
ip link set eth0 up
ip route replace default via "$GATEWAY"

export container=lab
exec /lib/systemd/systemd --system --unit=lab-node.target --log-target=console --show-status=false
