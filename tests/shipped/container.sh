#!/bin/sh
# Makes this process, the first of its namespaces, a container as the kubelet would: an overlay of a root directory that
# is read-only but for its volumes, and a command in it as process 1, as an ordinary user who has no capability at all.
#
# unshare --mount --pid --ipc --fork container.sh ROOT USER [PATH=DIRECTORY[:ro]]... -- VARIABLE=VALUE... COMMAND...
set -eu
root=$1 user=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
while [ "$1" != -- ]; do
    chroot . mkdir -p "${1%%=*}"
    place=/mnt/root$(chroot . readlink -f "${1%%=*}") # /var/run is a link to /run, and means the container's own
    from=${1#*=}
    mount --bind "${from%:ro}" "$place"
    [ "$from" = "${from%:ro}" ] || mount -o remount,bind,ro "$place"
    shift
done
shift
mkdir -p proc dev
mount -t proc proc proc
mount -t tmpfs tmpfs dev
for device in null zero urandom; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mount -o remount,ro dev
mount -o remount,ro /mnt/root
exec chroot /mnt/root setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all env -i "$@"
