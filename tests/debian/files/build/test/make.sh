# make -j with gcc over Lua's sources, and what it made. Argument: the targets of make.
cp -r /lua /tmp/lua && cd /tmp/lua/src || exit 1
# The order of lines depends on who is faster, what was made does not.
make -j4 "$@" >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
sort /tmp/log | grep -v -i 'directory'
sha256sum *.o | sort
if [ -x lua ]; then
    ./lua -e 'print(_VERSION, 2^10, ("x"):rep(3), #arg)
        local words = {}
        for word in ("the quick brown fox"):gmatch("%a+") do words[#words + 1] = word:upper() end
        table.sort(words) print(table.concat(words, " "))
        print(pcall(error, "caught"))
        local routine = coroutine.wrap(function() for n = 1, 3 do coroutine.yield(n * n) end end)
        print(routine(), routine(), routine())
        for line in io.popen("echo from a child; exit 0"):lines() do print(line) end
        os.exit(4)'
    echo "lua $?"
fi
make -q "$@" >/dev/null 2>&1; echo "up to date: $?"
