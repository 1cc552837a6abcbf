# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev fuzz: the fuzz targets of tests/fuzz under libFuzzer with the address and undefined-behaviour sanitizers.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_fuzz() {
    cat <<'TEXT'
usage: ./dev fuzz [SECONDS] [TARGET...]

Runs each fuzz target, or those named, for so many seconds (60). What is found on the way is kept in .deps/fuzz/TARGET and
used the next time; an input that breaks something lands beside it, and its path is printed with the command to repeat it.
TEXT
}

# fuzz_target TARGET SECONDS
fuzz_target() {
    local target=$1 seconds=$2 program="build-dev/fuzz/tests/fuzz/fuzz_$1" found="${deps:?}/fuzz/$1" seeds
    seeds="tests/fuzz/corpus/$target"
    mkdir -p "$found"
    "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found.broken-" "$found" "$seeds"
}

# fuzz_all SECONDS [TARGET...]: the targets are those that have a corpus.
fuzz_all() {
    local seconds=$1 target failed=0
    shift
    if [ $# -eq 0 ]; then
        for target in tests/fuzz/corpus/*; do
            set -- "$@" "${target##*/}"
        done
    fi
    build_variant fuzz "${@/#/tests/fuzz/fuzz_}" || return 1
    for target in "$@"; do
        step "fuzz $target, $seconds s" fuzz_target "$target" "$seconds" || {
            failed=1
            ls "$deps/fuzz/$target".broken-* >&2 2>/dev/null || true
            say "    to repeat: build-dev/fuzz/tests/fuzz/fuzz_$target FILE"
            continue
        }
        sed -n 's/^stat::number_of_executed_units: */      inputs tried: /p' "${logs:?}/fuzz_${target}__${seconds}_s.log" >&2
    done
    return $failed
}

main_fuzz() {
    local seconds=60 target
    case ${1:-} in
        '' | *[!0-9]*) ;;
        *)
            seconds=$1
            shift
            ;;
    esac
    for target in "$@"; do
        [ -d "tests/fuzz/corpus/$target" ] ||
            die "no fuzz target is called \"$target\"; there are: $(cd tests/fuzz/corpus && printf '%s ' *)"
    done
    main_setup
    fuzz_all "$seconds" "$@"
}
