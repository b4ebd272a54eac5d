#!/bin/bash
# system_manager.sh DIRECTORY USER READABLE...: a real systemd as PID 1 of namespaces of its own, on this machine's own
# root, with journald, logind and a user manager for the unprivileged USER (uid 1000), who lingers.
#
# Prints the pid of that PID 1, as this machine knows it, when all of it is up; ends, and everything with it, when its
# standard input does. The root is an overlay: what is written there goes into memory. DIRECTORY/home is the user's home,
# READABLE are directories that the user has to reach. Needs root, unshare, overlay, and a cgroup2 hierarchy somewhere.
# The network is this machine's. /proc/sys is read-only while PID 1 boots, and some capabilities are dropped for good, so
# that it cannot change the machine's own settings.
set -eu
base=$1 user=$2
shift 2
mkdir -p "$base/root" "$base/home"
chown 1000:1000 "$base/home"
hierarchy=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
group=$hierarchy/assumed-test-$$
mkdir "$group"

cleanup() {
  kill -9 "$(cat "$base/pid" 2> /dev/null)" 2> /dev/null || true
  for _ in $(seq 50); do
    find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || true
    [ -d "$group" ] || break
    sleep 0.1
  done
}
trap cleanup EXIT

bash -c 'echo $$ > "$0/cgroup.procs"; exec setpriv --bounding-set -sys_time,-sys_module,-sys_rawio,-mknod \
  unshare --fork --pid --mount --cgroup --ipc --uts --kill-child bash -eu -s -- "$@"' \
  "$group" "$base" "$user" "$@" > "$base/console" 2>&1 < <(cat <<'INSIDE'
base=$1 user=$2
shift 2
read -r pid _ < /proc/self/stat
echo "$pid" > "$base/pid"

mount -t tmpfs -o mode=755 tmpfs "$base/root"
mkdir "$base/root/upper" "$base/root/work" "$base/root/all"
mount -t overlay -o "lowerdir=/,upperdir=$base/root/upper,workdir=$base/root/work" overlay "$base/root/all"
root=$base/root/all
chmod 755 "$root"

# Of this machine's own services none starts.
for directory in etc/systemd/system etc/systemd/user etc/systemd/journald.conf.d var/log/journal lib/systemd/system-generators \
  usr/local/lib/systemd/system lib/systemd/system/sysinit.target.wants run tmp var/tmp home sys; do
  mkdir -p "$root/$directory"
  mount -t tmpfs -o mode=755 tmpfs "$root/$directory"
done
chmod 1777 "$root/tmp" "$root/var/tmp"
for unit in systemd-tmpfiles-setup systemd-tmpfiles-clean systemd-sysctl systemd-udevd systemd-random-seed; do
  ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
printf '[Journal]\nStorage=persistent\nAudit=\nReadKMsg=no\nForwardToConsole=no\n' > "$root/etc/systemd/journald.conf.d/test.conf"
cat > "$root/etc/systemd/system/test.target" <<'UNIT'
[Unit]
Requires=basic.target systemd-journald.service dbus.socket systemd-logind.service
After=basic.target systemd-journald.service dbus.socket systemd-logind.service
UNIT

# The user, and what he may enter.
sed -i "/^[^:]*:[^:]*:1000:/d; /^$user:/d" "$root/etc/passwd" "$root/etc/group" "$root/etc/shadow"
echo "$user:x:1000:1000::/home/$user:/bin/bash" >> "$root/etc/passwd"
echo "$user:x:1000:" >> "$root/etc/group"
echo "$user:*:19000:0:99999:7:::" >> "$root/etc/shadow"
mkdir "$root/home/$user" && mount --bind "$base/home" "$root/home/$user"
mkdir -p "$root/var/lib/systemd/linger" && touch "$root/var/lib/systemd/linger/$user"
for path in "$@"; do
  # Of another file system, or under one of those that are empty there (/tmp, /home).
  if [ "$(stat -c %d "$path")" != "$(stat -c %d /)" ] || [ ! -e "$root$path" ]; then
    mkdir -p "$root$path" && mount --rbind -o ro "$path" "$root$path"
  fi
  while [ "$path" != / ]; do
    chmod o+x "$root$path" 2> /dev/null || true
    path=$(dirname "$path")
  done
done

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mkdir -p "$root/sys/fs/cgroup" && mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node" && mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"  # systemd mounts credentials over it first
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/run/outside"
cd "$root"
pivot_root . run/outside
umount -l /run/outside
rmdir /run/outside
mount --make-rshared /  # systemd leaves that to the container's manager; credentials come by propagation
exec env -i container=assumed-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=no < /dev/null
INSIDE
) &

inside() { nsenter --target "$(cat "$base/pid")" --mount --pid --cgroup --ipc --uts -- "$@"; }
wait_for() {
  for _ in $(seq 400); do
    "$@" > /dev/null 2>&1 && return
    sleep 0.05
  done
  echo "not up after 20 s: $*" >&2
  cat "$base/console" >&2
  exit 1
}
wait_for test -s "$base/pid"
wait_for inside systemctl is-active test.target
# As on a real machine, where nothing covers /proc: the kernel gives a user namespace no /proc of its own otherwise.
inside umount --lazy /proc/sys
inside journalctl --flush  # from /run into files of which each user may read his own
inside systemctl start user@1000.service
wait_for inside test -S /run/user/1000/systemd/private
cat "$base/pid"
cat > /dev/null
