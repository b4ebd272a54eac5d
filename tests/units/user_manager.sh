#!/bin/bash
# user_manager.sh DIRECTORY COMMAND...: a real `systemd --user` in namespaces of its own, and the command beside it.
# Everything in there dies with the command. Needs root, unshare, and a cgroup2 hierarchy somewhere.
# Two tricks: a user manager refuses to be PID 1 (a shell is), and wants /run/systemd/system to exist.
set -u
export BASE=$1
shift
mkdir -p "$BASE/run" && chmod 700 "$BASE/run"
hierarchy=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
group=$hierarchy/assumed-test-$$
mkdir "$group"
bash -c 'echo $$ > "$0/cgroup.procs"; exec unshare --fork --pid --mount --cgroup --ipc --uts --kill-child --mount-proc \
  bash -s -- "$@"' "$group" "$@" <<'INSIDE'
mount -t cgroup2 none /sys/fs/cgroup
mkdir /sys/fs/cgroup/init /sys/fs/cgroup/manager
echo $$ > /sys/fs/cgroup/init/cgroup.procs
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
export XDG_RUNTIME_DIR=$BASE/run
unset DBUS_SESSION_BUS_ADDRESS
(
  echo $BASHPID > /sys/fs/cgroup/manager/cgroup.procs
  exec /lib/systemd/systemd --user --unit=basic.target --log-target=console --show-status=false \
    < /dev/null > "$BASE/journal" 2>&1
) &
manager=$!
for _ in $(seq 200); do
  [ -S "$XDG_RUNTIME_DIR/systemd/private" ] && systemctl --user is-system-running > /dev/null 2>&1 && break
  sleep 0.05
done
"$@"
status=$?
kill $manager 2> /dev/null
wait $manager 2> /dev/null
exit $status
INSIDE
status=$?
for _ in 1 2 3 4 5; do
  find "$group" -depth -type d -exec rmdir {} + 2> /dev/null
  [ -d "$group" ] || break
  sleep 0.1
done
exit $status
