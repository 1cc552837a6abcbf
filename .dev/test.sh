# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev test: every test over every build, then one line that counts the test programs.

# shellcheck source=.dev/system.sh
. .dev/system.sh

help_test() {
    cat <<'TEXT'
usage: ./dev test [--quick] [TEST...]

Runs every test, sets up what it needs, and ends with a line that counts the test programs over all builds:
  gcc    everything as it would be installed
  asan   everything under the address and undefined-behaviour sanitizers, leaks included
  tsan   what has threads under the thread sanitizer
  clang  the other compiler, with the fuzz targets replaying what they know
  the demonstration (./dev demo) and the system service in a container (./dev system)
TEST... names tests of the builds, as `meson test --list` has them; then those two are left out.
--quick leaves out all but gcc.
TEXT
}

passed=0
failed=0

# count_build NAME: adds the test programs of a run to the counts; one that was skipped has not passed.
count_build() {
    local log="build-dev/$1/meson-logs/testlog.json" good
    good=$(jq -r 'select(.result == "OK" or .result == "EXPECTEDFAIL") | .name' "$log" | wc -l)
    passed=$((passed + good))
    failed=$((failed + $(wc -l <"$log") - good))
}

# run_tests NAME MESON-ARGUMENT...: quiet when all is well, else what each test that failed has said.
run_tests() {
    local name=$1 log="build-dev/$1/meson-logs/testlog.json"
    shift
    # Without random addresses, which older thread sanitizers refuse when they are very random.
    setarch -R meson test -C "build-dev/$name" --no-rebuild --timeout-multiplier 3 "$@" && return
    [ ! -s "$log" ] || jq -r 'select(.result != "OK" and .result != "EXPECTEDFAIL")
        | "\n---- \(.name): \(.result)\n\((.stdout // "")[-2000:])\((.stderr // "")[-2000:])"' "$log"
    return 1
}

# test_build NAME MESON-ARGUMENT...: builds and runs. A build that fails counts as one failed test.
test_build() {
    local name=$1 log="build-dev/$1/meson-logs/testlog.json"
    shift
    if ! build_variant "$name"; then
        failed=$((failed + 1))
        return 1
    fi
    rm -f "$log"
    step "test with $name" run_tests "$name" "$@" || true
    if [ -s "$log" ]; then
        count_build "$name"
    else
        failed=$((failed + 1))
    fi
}

# The demonstration checks its own sums.
test_demo() {
    if step 'demo' tests/demo/demo.sh build-dev/gcc; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

# One test program of its own kind, shown as it goes since its lines say what was checked.
test_system() {
    if run_system_test 2>&1 | sed 's/^/    /' >&2; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

main_test() {
    local quick=no
    main_setup
    if [ "${1:-}" = --quick ]; then
        quick=yes
        shift
    fi
    say 'test'
    test_build gcc "$@" || true
    if [ $quick = no ]; then
        test_build asan --no-suite tree "$@" || true
        test_build tsan --no-suite tree --no-suite serial "$@" || true
        test_build clang --no-suite tree "$@" || true
        if [ $# -eq 0 ]; then
            test_demo
            test_system
        fi
    fi
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}
