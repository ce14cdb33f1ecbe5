# What only bash does.
set -o pipefail
false | true; echo "pipefail $?"
diff <(seq 1 5) <(seq 1 6); echo "status $?"
coproc worker { while read -r line; do echo "answer to $line"; done; }
echo question >&"${worker[1]}"; read -r answer <&"${worker[0]}"; echo "$answer"
# The variable goes with the process.
pid=$worker_PID; kill $pid; wait $pid 2>/dev/null; echo "coproc $?"
mapfile -t lines < <(seq 1 1000); echo "${#lines[@]} ${lines[999]}"
declare -A table; for word in b a c a b a; do ((table[$word]++)); done
for key in $(printf '%s\n' "${!table[@]}" | sort); do echo "$key ${table[$key]}"; done
[[ "abc-123" =~ ^([a-z]+)-([0-9]+)$ ]] && echo "${BASH_REMATCH[2]} ${BASH_REMATCH[1]}"
set -m
sleep 100 & echo "jobs: $(jobs -r | wc -l)"
kill -STOP %1; while [ "$(jobs -s | wc -l)" != 1 ]; do sleep 0.01; done; echo stopped
kill -CONT %1; while [ "$(jobs -r | wc -l)" != 1 ]; do sleep 0.01; done; echo running
kill %1; wait %1 2>/dev/null; echo "status $?"
(exit 4) & (exit 5) & wait -n; wait; echo "all waited for"
set +m
trap 'echo "line of an error"' ERR; false; trap - ERR
read -r -t 0.05 nothing </dev/zero; echo "read that times out: $(($? > 128))"
exec {fd}>/tmp/named; echo through >&$fd; exec {fd}>&-; cat /tmp/named
printf '%(%Y)T\n' 0
echo "${PIPESTATUS[@]}"
