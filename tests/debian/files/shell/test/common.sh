# What every POSIX shell does: bash and dash both run this.
echo "== pipelines"
printf '%s\n' pear apple fig | sort | tr a-z A-Z | while read -r word; do echo "<$word>"; done
seq 1 2000 | grep -v 5 | wc -l
false | true; echo "status of a pipeline $?"
yes | head -n 3
echo "== subshells"
value=outer; (value=inner; cd /usr; echo "$value in $PWD"); echo "$value in $PWD"
(exit 9); echo "status $?"
echo "nested $(echo "$(echo deep)" | sed s/deep/deeper/)"
echo "== here-documents"
cat <<END
value is $value and $((6 * 7))
END
cat <<'END'
value is $value
END
cat <<-END | sed 's/^/| /'
	indented
	lines
END
# Larger than a pipe holds.
long=$(seq 1 20000)
cat <<END | tail -n 1
$long
END
echo "== traps"
trap 'echo "caught USR1"' USR1
kill -USR1 $$
(trap 'echo "subshell is left with $?"' EXIT; exit 4)
echo "status $?"
sh -c 'trap "echo terminated; exit 7" TERM; kill -TERM $$; echo not reached'
echo "status $?"
# bash says which process was killed, and its number.
{ sh -c 'kill -KILL $$'; echo "killed: status $?"; } 2>/dev/null
{ sh -c 'kill -SEGV $$'; echo "fault: status $?"; } 2>/dev/null
echo "== jobs"
mkfifo /tmp/gate
(read -r line </tmp/gate; exit "$line") &
first=$!
(exit 3) &
second=$!
wait $second; echo "second $?"
echo 5 >/tmp/gate
wait $first; echo "first $?"
sleep 100 &
kill $!
# dash says "Terminated" if it has not heard of it before.
wait $! 2>/dev/null
echo "killed job: $?"
for n in 1 2 3 4 5 6 7 8; do (echo "job $n" >/tmp/job.$n) & done
wait
cat /tmp/job.*
echo "== redirections"
{ echo to stdout; echo to stderr >&2; } 2>&1 >/tmp/out | sed 's/^/piped: /'
cat /tmp/out
exec 5<>/tmp/both; echo written >&5; exec 5>&-; cat /tmp/both
echo a >/tmp/append; echo b >>/tmp/append; cat </tmp/append
cat /absent 2>/dev/null || echo "no such file: $?"
set -C; (echo over >/tmp/out) 2>/dev/null || echo "noclobber"
set +C
echo "== functions and arithmetic"
factorial() { if [ "$1" -le 1 ]; then echo 1; else echo $(($1 * $(factorial $(($1 - 1))))); fi; }
factorial 10
i=0; while [ $i -lt 300 ]; do i=$((i + 1)); /bin/true; done; echo "ran true $i times"
umask 027; : >/tmp/masked; ls -l /tmp/masked | cut -c1-10
exit 6
