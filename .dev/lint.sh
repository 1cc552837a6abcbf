# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev lint: what can be said of the tree without running it.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_lint() {
    cat <<'TEXT'
usage: ./dev lint [--fix]

Checks layout (clang-format 14), shell scripts (shellcheck), the rules of the tree (tests/tree), that each header
compiles alone (the public ones as C11 and as C++ too), and that gcc and clang have no warning.
--fix lays out the files instead of complaining about them.
TEXT
}

# tracked PATTERN...: files of the tree, those not added yet as well.
tracked() {
    git ls-files -z --cached --others --exclude-standard -- "$@" | while IFS= read -r -d '' file; do
        [ ! -f "$file" ] || printf '%s\0' "$file"
    done
}

lint_layout() {
    tracked '*.c' '*.h' | xargs -0 -r clang-format-14 "$@"
}

lint_shell() {
    tracked | xargs -0 grep -lZE -m 1 '^(#!.*\b(ba)?sh$|# shellcheck shell=)' | xargs -0 shellcheck -x
}

lint_tree() {
    python3 tests/tree/check_tree.py --self-test
    python3 tests/tree/check_tree.py
}

# Every header on its own, with what the build generates and the libraries' own include paths.
lint_headers() {
    local flags header failed=0
    mapfile -t flags < <(PKG_CONFIG_PATH="$deps/$(uname -m)/pkgconfig" \
        pkg-config --cflags libprotobuf-c libevent libconfig yyjson | tr ' ' '\n' | sed 's/^-I/-isystem/; /^$/d')
    # The generator's own messages before the header of the same name that authors see.
    flags+=(-D_GNU_SOURCE -Ibuild-dev/gcc/sdk/protoc-gen-quark/pb -Idaemon -Isdk -Isdk/include -Ibuild-dev/gcc/proto
        -fsyntax-only -Wall -Wextra -Werror)
    while IFS= read -r -d '' header; do
        # A header of macros alone would leave nothing to compile.
        printf '#include "%s"\ntypedef int lint_nothing;\n' "$header" >"$deps/header.c"
        gcc -std=gnu11 -I. "-I${header%/*}" "${flags[@]}" "$deps/header.c" || failed=1
        case $header in
            sdk/include/*)
                gcc -std=c11 -pedantic -I. "${flags[@]}" "$deps/header.c" || failed=1
                g++ -std=c++11 -pedantic -I. "${flags[@]}" -x c++ "$deps/header.c" || failed=1
                ;;
        esac
    done < <(tracked 'daemon/*.h' 'sdk/*.h')
    return $failed
}

main_lint() {
    local failed=0
    main_setup
    if [ "${1:-}" = --fix ]; then
        lint_layout -i
    fi
    say 'lint'
    step 'layout' lint_layout --dry-run -Werror || failed=1
    step 'shell scripts' lint_shell || failed=1
    step 'rules of the tree' lint_tree || failed=1
    # The warnings: both compilers stop at the first file that has one.
    build_variant gcc || failed=1
    build_variant clang || failed=1
    step 'headers alone' lint_headers || failed=1
    return $failed
}
