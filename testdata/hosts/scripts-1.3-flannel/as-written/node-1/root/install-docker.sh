#!/bin/bash

function mount_cgroup() {
if grep -v '^#' /etc/fstab | grep -q cgroup; then
echo 'cgroups mounted from fstab, not mounting /sys/fs/cgroup'
return 0
fi
if [ ! -e /proc/cgroups ]; then
return 0
fi
if ! mountpoint -q /sys/fs/cgroup; then
mount -t tmpfs -o uid=0,gid=0,mode=0755 cgroup /sys/fs/cgroup
fi
cd /sys/fs/cgroup
for sys in $(awk '!/^#/ { if ($4 == 1) print $1 }' /proc/cgroups); do
mkdir -p $sys
if ! mountpoint -q $sys; then
if ! mount -n -t cgroup -o $sys cgroup $sys; then
rmdir $sys || true
fi
fi
done
}
mount_cgroup
mkdir Xcloud_install >/dev/null 2>&1
cd Xcloud_install
wget ftp://docker-1.11.0.tgz >/dev/null 2>&1
mv /usr/bin/docker /usr/bin/docker.previous
tar xf docker-1.11.0.tgz
mv docker/* /usr/bin/
pkill docker
rm -rf /home/work/docker_Xcloud 1>/dev/null 2>&1
rm /var/run/docker.pid 1>/dev/null 2>&1
rm ../Xcloud_install –rf
