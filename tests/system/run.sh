#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The system test: installs a build into a small Debian with a systemd of its own and walks the whole way of an
# administrator and of an author of actors. Root only; ./dev system calls it.
#
# usage: tests/system/run.sh BUILD MIRROR
#   BUILD   a build folder configured with --prefix=/usr
#   MIRROR  where debootstrap takes Debian from, when the archive of the container isn't there yet
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
mirror=$2
export here build

# shellcheck source=tests/system/container.sh
. "$here/container.sh"
# shellcheck source=tests/system/walk.sh
. "$here/walk.sh"

passed=0

# walk TITLE FUNCTION: one step. What the function prints last is shown beside the title. A step that fails ends the
# walk, since the next ones stand on it, with what the service manager and the journal know.
walk() {
    local title=$1 log="$container_home/step.log" start=$EPOCHREALTIME seconds
    shift
    # In the background, since only there a failing line inside the function ends it.
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null &
    if wait $!; then
        seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
        printf 'ok     %5s s  %-44s %s\n' "$seconds" "$title" "$(tail -n 1 "$log")"
        passed=$((passed + 1))
        return 0
    fi
    printf 'FAILED          %s\n' "$title"
    sed 's/^/    | /' "$log"
    printf -- '--- systemctl status quarkd\n'
    inside systemctl status quarkd --no-pager --lines=0 || true
    printf -- '--- the end of the journal\n'
    inside journalctl --no-pager -u quarkd -n 60 -o short-monotonic || true
    printf '%d steps passed, then one failed: %s\n' "$passed" "$title"
    exit 1
}

trap container_end EXIT
container_prepare "$mirror"
container_unpack
container_boot
walk_all
printf '%d steps passed\n' "$passed"
