#!/bin/sh
# boot.sh TREE UNICELL UNIT PACKAGE: boots systemd as the first process of a PID
# namespace in Debian's TREE, with a node installed there as docs/operations.md
# says, and runs check.sh under it. What is written goes to memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
room=$(mktemp -d)
mount -t tmpfs tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/tree"
mount -t overlay -o "lowerdir=$1,upperdir=$room/upper,workdir=$room/work" overlay "$room/tree"
cd "$room/tree"

# What the packages' scripts would have made, as far as it is needed.
mkdir -p proc sys dev run tmp root usr/local/bin
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id

cp "$2" usr/local/bin/unicell
cp "$3" etc/systemd/system/unicell.service
cp "$4" root/service.cell
cp "$here/check.sh" root/check.sh
cat >etc/systemd/system/check.service <<EOF
[Service]
Type=oneshot
ExecStart=/bin/sh /root/check.sh
StandardOutput=file:/root/stdout
StandardError=file:/root/stderr
ExecStopPost=/bin/systemctl exit \$EXIT_STATUS
EOF

code=0
# shellcheck disable=SC2016
unshare -f -m -p sh -c '
    set -e
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount --rbind /dev dev
    mount -t tmpfs tmpfs run
    mount --move . /
    container=test exec chroot . /lib/systemd/systemd --unit=check.service \
        --log-target=null --show-status=no
' || code=$?
cat "$room/upper/root/stdout"
cat "$room/upper/root/stderr" >&2
exit "$code"
