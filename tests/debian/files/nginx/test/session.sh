# A master with two workers, and curl beside it.
PATH=$PATH:/usr/sbin
mkdir -p /tmp/site/gz
echo "<p>front page</p>" >/tmp/site/index.html
seq 1 200000 >/tmp/site/big.txt
seq 1 2000 >/tmp/site/gz/numbers.txt
nginx -c /test/nginx.conf -g 'daemon off;' &
master=$!
workers() { grep -lw "PPid:.$master" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3; }
get() { curl -sS --max-time 30 "$@"; }
until get -o /dev/null http://127.0.0.1:8000/ 2>/dev/null; do kill -0 $master || exit 1; sleep 0.05; done
# The first answers while the second is made.
until [ "$(workers | wc -w)" = 2 ]; do sleep 0.05; done
get http://127.0.0.1:8000/
get http://127.0.0.1:8000/big.txt | sha256sum
get -r 1000-1019 http://127.0.0.1:8000/big.txt | od -c | head -n 2
get -o /dev/null -w '%{http_code} %{size_download}\n' http://127.0.0.1:8000/absent
get -o /dev/null -w '%{http_code} %{redirect_url}\n' http://127.0.0.1:8000/old
get --compressed http://127.0.0.1:8000/gz/numbers.txt | tail -n 1
get --unix-socket /tmp/nginx.sock http://local/
get http://127.0.0.1:8000/proxy/deep/path
get -I http://127.0.0.1:8000/index.html | grep -i content-length
# Many at once, over kept connections too.
get -Z --parallel-max 10 -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:8000/?[1-40]" 2>/dev/null | sort | uniq -c
old=$(workers)
kill -HUP $master
for worker in $old; do while kill -0 "$worker" 2>/dev/null; do sleep 0.05; done; done
echo "new workers $(workers | wc -w)"
get http://127.0.0.1:8000/
kill -QUIT $master
wait $master; echo "master $?"
grep -c 'GET / ' /tmp/access.log >/dev/null && echo logged
