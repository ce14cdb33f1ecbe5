# A server with a saving child, its client, and the server again with what was saved.
cd /tmp
serve() {
    redis-server --port 7000 --bind 127.0.0.1 --unixsocket /tmp/redis.sock --dir /tmp --save '' \
        --daemonize no --logfile /tmp/redis.log --enable-debug-command yes &
    server=$!
    until redis-cli -s /tmp/redis.sock ping >/dev/null 2>&1; do kill -0 $server || exit 1; sleep 0.05; done
}
cli() { redis-cli -p 7000 "$@"; }
serve
cli set greeting hello; cli get greeting
cli incrby counter 41; cli incr counter
cli rpush list a b c >/dev/null; cli lrange list 0 -1
cli debug populate "$1" key 200
cli dbsize
cli bgsave
# Written while the child saves: not in the file.
cli set late value >/dev/null
until cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; do sleep 0.05; done
cli info persistence | grep -E 'rdb_last_bgsave_status|rdb_saves' | tr -d '\r'
cli del late >/dev/null
cli subscribe news >/tmp/heard 2>&1 &
listener=$!
until [ "$(cli publish news extra)" = 1 ]; do sleep 0.02; done
cli publish news done >/dev/null
until grep -q done /tmp/heard; do sleep 0.02; done
cli client kill type pubsub
wait $listener; echo "listener $?"; cat /tmp/heard
printf 'multi\nset one 1\nincr one\nexec\n' | cli
cli eval 'return redis.call("get", KEYS[1]) .. " from lua"' 1 greeting
cli shutdown nosave
wait $server; echo "server $?"
serve
cli dbsize; cli get counter; cli get key:7 | cut -c1-10; cli exists late one
kill -TERM $server
wait $server; echo "server $?"
redis-check-rdb /tmp/dump.rdb >/dev/null; echo "file $?"
