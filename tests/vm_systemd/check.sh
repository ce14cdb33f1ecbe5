# Runs as a service of systemd: what an operator does with a node that is
# installed. Each line that it prints is expected by main.rs.
set -eu
export UNICELL_NODE=/run/unicell/node.sock
trap '[ $? = 0 ] || systemctl status --no-pager --full --lines 30 unicell >&2' EXIT
group=/sys/fs/cgroup/system.slice/unicell.service
whole() {
    echo "instances whose jail is whole: $(unicell ps --json | busybox grep -c '"lacks": {}')"
}

# It is ready when systemctl says so: nobody asks twice.
systemctl start unicell
echo "started: $(systemctl is-active unicell)"
unicell import /root/service.cell --tag hello >/dev/null
unicell start hello --publish 127.0.0.1:8000:80 >/dev/null
# Started is not yet listening.
until busybox wget -q -O - http://127.0.0.1:8000/ 2>/dev/null; do sleep 0.1; done
whole

# A node that is killed comes back, and says what was lost.
systemctl kill --kill-whom=main --signal=KILL unicell
until [ "$(systemctl show -P NRestarts unicell)" = 1 ] && systemctl is-active -q unicell; do
    sleep 0.1
done
echo "lost: $(unicell events --json | busybox grep -c '"event":"lost"')"
unicell start hello >/dev/null
whole

# One that is stopped stops its instances, and leaves nothing.
systemctl stop unicell
echo "stopped: $(systemctl show -P Result unicell)"
[ ! -e "$group" ] && echo "no group"
[ ! -e /run/unicell ] && echo "no socket"
