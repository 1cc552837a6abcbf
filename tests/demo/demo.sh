#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Shows a silo at work: starts one of its own in a temporary directory, counts the words of the licences that every
# Debian machine has, moves money between accounts, and checks both; then kills a silo that keeps the bank on disk while
# money moves, starts it again, and checks once more. Leaves nothing behind.
#
# usage: demo.sh BUILD-FOLDER
set -euo pipefail
export LC_ALL=C

build=$(cd "${1:?usage: demo.sh BUILD-FOLDER}" && pwd)
quarkd=$build/daemon/main/quarkd
quarkctl=$build/daemon/ctl/quarkctl
demo=$build/tests/demo/quark-demo
text=/usr/share/common-licenses

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m')
    red=$(printf '\033[31m')
    plain=$(printf '\033[0m')
else
    bold='' red='' plain=''
fi

step() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/quark-demo-XXXXXX")
silo='' bank=''

# Stops what runs still and removes the directory, however the script ends.
clean_up() {
    for pid in $bank $silo; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2
    if [ -s "$dir/silo.log" ]; then
        printf 'what the silo said last:\n' >&2
        tail -n 20 "$dir/silo.log" | sed 's/^/    | /' >&2
    fi
    exit 1
}

# Starts a silo with the plugins of a directory, and waits until it takes calls.
start_silo() {
    "$quarkd" --dev --socket "$QUARK_SOCKET" --plugins "$1" >>"$dir/silo.log" 2>&1 &
    silo=$!
    for ((tries = 0; ; tries++)); do
        "$quarkctl" status >"$dir/status" 2>&1 && break
        kill -0 "$silo" 2>/dev/null || fail 'the silo ended before it took calls'
        [ "$tries" -lt 100 ] || fail "the silo took no calls within 10 s: $(tail -n 1 "$dir/status")"
        sleep 0.1
    done
}

stop_silo() {
    kill -TERM "$silo"
    status=0
    wait "$silo" || status=$?
    silo=''
    [ "$status" -eq 0 ] || fail "the silo ended with status $status"
    ! grep -q 'left over' "$dir/silo.log" || fail 'the silo has not freed everything'
    printf '  exit status 0: every actor has been let go, nothing is left over\n'
}

for file in "$quarkd" "$quarkctl" "$demo"; do
    [ -x "$file" ] || fail "$file is missing: \`./dev build\` makes it"
done
[ -d "$text" ] || fail "$text is missing: the demonstration reads the licences that Debian has there"

began=$SECONDS
export QUARK_SOCKET=$dir/quarkd.sock
export XDG_STATE_HOME=$dir/state XDG_DATA_HOME=$dir/data XDG_RUNTIME_DIR=$dir

step 'A silo starts'
install -d -m 700 "$dir/plugins" "$dir/durable" "$XDG_STATE_HOME"
for module in plugins/actors/libwords.so tests/demo/memory/libbank-memory.so; do
    install -m 644 "$build/$module" "$dir/plugins/" || fail "the sample actors are not built"
done
install -m 644 "$build/plugins/actors/libbank.so" "$dir/durable/" || fail "the sample actors are not built"
start_silo "$dir/plugins"
sed 's/^/  /' "$dir/status"
"$quarkctl" types >"$dir/types" || fail 'quarkctl types failed'
sed 's/^/  /' "$dir/types"

step "It counts the words of $text, an actor for each"
cat "$text"/* >"$dir/text"
"$demo" words --top 10 "$dir/by_actors" <"$dir/text" || fail 'counting failed'
tr -cs '[:alpha:]' '\n' <"$dir/text" | tr '[:upper:]' '[:lower:]' | sed '/^$/d' | sort | uniq -c | sed 's/^ *//' >"$dir/by_uniq"
if ! cmp -s "$dir/by_actors" "$dir/by_uniq"; then
    diff "$dir/by_uniq" "$dir/by_actors" | head -n 10 >&2
    fail 'the actors count differently from tr | sort | uniq -c: < is what they should have, > what they have'
fi
printf '  tr | sort | uniq -c counts the same, all %d words\n' "$(wc -l <"$dir/by_uniq")"

step 'It moves money: 100,000 transfers from 8 connections, with the accounts in memory'
"$demo" bank --clients 8 --transfers 100000 >"$dir/bank" &
bank=$!
sleep 0.1
"$quarkctl" top --once --delay 200ms >"$dir/top" 2>&1 || fail "quarkctl top failed: $(tail -n 1 "$dir/top")"
status=0
wait "$bank" || status=$?
bank=''
printf '  what quarkctl top showed meanwhile:\n'
sed 's/^/    /' "$dir/top"
cat "$dir/bank"
[ "$status" -eq 0 ] || fail 'the bank does not add up'

step 'The silo stops'
stop_silo

durable=20000
step "A silo that keeps the bank on disk is killed while money moves: $durable transfers, about 6 saves each"
start_silo "$dir/durable"
"$demo" bank --clients 8 --transfers "$durable" --half "$dir/half" >"$dir/bank" &
bank=$!
until [ -s "$dir/half" ]; do
    kill -0 "$bank" 2>/dev/null || break # it says why below
    sleep 0.02
done
if [ -s "$dir/half" ]; then
    kill -KILL "$silo"
    wait "$silo" 2>/dev/null || true
    printf '  kill -9 after %s transfers; the silo starts again\n' "$(cat "$dir/half")"
    start_silo "$dir/durable"
fi
status=0
wait "$bank" || status=$?
bank=''
cat "$dir/bank"
[ "$status" -eq 0 ] || fail 'the bank does not add up'
! grep -q ' 0 run again' "$dir/bank" || fail 'the kill met no transfer under way'
stop_silo

printf '\nAll of it took %d s.\n' $((SECONDS - began))
