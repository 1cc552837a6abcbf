# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev cross: the other processor. Its libraries are unpacked below .deps, so that the machine stays as it is.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_cross() {
    cat <<'TEXT'
usage: ./dev cross [SUITE...]

Builds the unit tests for aarch64 and runs them under qemu: those of base, wire, runtime and loop, or of the suites
named. The libraries of that processor are fetched from Debian once, into .deps/aarch64.
TEXT
}

cross_arch=aarch64
cross_root="${deps:?}/$cross_arch/root"

cross_packages() {
    awk '$1 == "base" && $2 ~ /^lib.*-dev$|^check$/ && $2 !~ /clang/ { print $2 }' .dev/packages.txt
}

# Every library of the table, for arm64, with all that they need, unpacked into a folder that is a sysroot.
unpack_cross_root() {
    local state="$deps/$cross_arch/apt" mirror packages
    mapfile -t packages < <(cross_packages)
    mirror=$(mirror_of_this_machine)
    rm -rf "$state" "$cross_root"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$cross_root"
    : >"$state/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" \
        "$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")" >"$state/sources.list"
    local apt=(apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$state"
        -o Dir::State::status="$state/status" -o Dir::Etc::sourcelist="$state/sources.list"
        -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Dir::Cache="$state/cache"
        -o APT::Sandbox::User= -o Acquire::Retries=3 -o Dir::State::Lists="$state/lists")
    "${apt[@]}" update
    "${apt[@]}" install --download-only --no-install-recommends -o Debug::NoLocking=1 "${packages[@]}"
    local archive
    for archive in "$state/cache/archives/"*.deb; do
        dpkg-deb --extract "$archive" "$cross_root"
    done
    rm -rf "$state"
    cross_packages >"$cross_root.stamp"
}

# The description of the other machine for meson.
write_cross_file() {
    cat <<TEXT
[binaries]
c = 'aarch64-linux-gnu-gcc'
cpp = 'aarch64-linux-gnu-g++'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '$cross_root']

[properties]
sys_root = '$cross_root'
pkg_config_libdir = '$cross_root/usr/lib/aarch64-linux-gnu/pkgconfig:$cross_root/usr/share/pkgconfig'

[built-in options]
c_args = ['--sysroot=$cross_root']
c_link_args = ['--sysroot=$cross_root']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
TEXT
}

main_cross() {
    local folder="build-dev/$cross_arch" file="$deps/$cross_arch/cross.ini" suites=("$@") targets
    [ $# -gt 0 ] || suites=(base wire runtime loop)
    main_setup
    install_packages cross
    mkdir -p "$deps/$cross_arch"
    say "cross: $cross_arch"
    [ "$(cross_packages)" = "$(cat "$cross_root.stamp" 2>/dev/null)" ] || step 'libraries for aarch64' unpack_cross_root
    CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar build_sources "$cross_arch"
    write_cross_file >"$file"
    configure "$folder" --cross-file "$file" --prefix=/usr -Dwerror=true
    # What meson knows of the tests is as old as its last run.
    step 'configure' ninja --quiet -C "$folder" build.ninja
    mapfile -t targets < <(meson introspect --tests "$folder" |
        jq -r --arg suites " ${suites[*]} " '.[]
            | select(any(.suite[]; . as $s | $suites | contains(" " + ($s | sub("^quark:"; "")) + " ")))
            | .cmd[] | select(startswith("/"))' | grep -F "$top/$folder/" | sed "s|^$top/$folder/||" | sort -u)
    [ ${#targets[@]} -gt 0 ] || die "no test in the suites: ${suites[*]}"
    step "build ${#targets[@]} tests" ninja --quiet -C "$folder" -j "${cores:?}" "${targets[@]}"
    step 'run them under qemu' meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 10 \
        "${suites[@]/#/--suite=}"
    sed -n 's/^Ok: */passed: /p; s/^Fail: */failed: /p' "$folder/meson-logs/testlog.txt" >&2
}
