# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What the commands share: paths, progress lines, quiet steps with a log, and root's rights.

# The variable comes from ./dev, which has changed into the top of the tree.
: "${top:?}"
deps="$top/.deps"
logs="$deps/logs"
cores=$(nproc)
export deps logs cores
export LC_ALL=C.UTF-8

# A line of progress; everything that is not a result goes to standard error.
say() {
    printf '%s\n' "$*" >&2
}

die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

# step NAME COMMAND... runs a command quietly. A failure shows the end of its output and where the rest is.
step() {
    local name=$1 log start
    shift
    mkdir -p "$logs"
    log="$logs/${name//[^A-Za-z0-9.-]/_}.log"
    start=$SECONDS
    printf '  %-44s' "$name" >&2
    # In the background, since only there a failing line inside a function ends the function.
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null &
    if wait $!; then
        printf 'ok %5d s\n' $((SECONDS - start)) >&2
    else
        printf 'FAILED\n' >&2
        tail -n 60 "$log" | sed 's/^/    | /' >&2
        say "    the whole output: $log"
        return 1
    fi
}

# as_root COMMAND... runs a command with root's rights: as it is, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root's rights and there is no sudo: run it as root: $*"
    fi
}

# The mirror that this machine takes its own release from, as apt understands its sources.
mirror_of_this_machine() {
    local release
    release=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    # The target's own words, not the shell's.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' |
        awk -v r="$release" '$NF == "main" && ($2 == r || $3 == r) { print $1; exit }'
}
