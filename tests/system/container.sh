# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# A small Debian with a systemd of its own, to be installed into and thrown away: container_unpack, container_boot,
# inside COMMAND..., container_end. The unpacked tree is kept as an archive outside the checkout, so that only the
# first run fetches it.

container_suite=bookworm
# What systemd needs to be one, what the daemon and the tool are linked with, and what an author of actors has.
container_packages=(
    systemd systemd-sysv dbus procps
    libprotobuf-c1 libevent-core-2.1-7 libconfig9 libsystemd0 libjemalloc2 libsmartcols1 libsqlite3-0 libncursesw6
    libxxhash0 libseccomp2
    gcc libc6-dev meson ninja-build pkg-config protobuf-compiler protobuf-c-compiler libprotobuf-dev libprotobuf-c-dev
    check libsubunit-dev
)
container_cache=${QUARK_TEST_CACHE:-/var/cache/quark-tests}

# container_prepare MIRROR: the archive, made on the first run and whenever the list of packages has changed.
container_prepare() {
    local mirror=$1 key work
    key=$(printf '%s\n' "$container_suite" "${container_packages[@]}" | sha256sum | cut -c 1-12)
    container_archive="$container_cache/$container_suite-$key.tar.zst"
    [ ! -s "$container_archive" ] || return 0
    mkdir -p "$container_cache"
    work=$(mktemp -d /var/tmp/quark-debootstrap.XXXXXX)
    debootstrap --variant=minbase --include="$(IFS=,; printf '%s' "${container_packages[*]}")" \
        "$container_suite" "$work/root" "$mirror" || { rm -rf "$work"; return 1; }
    rm -f "$work/root/var/cache/apt/archives/"*.deb
    tar -C "$work/root" -cf - . | zstd -q -3 -T0 -o "$work/tree.tar.zst"
    mv "$work/tree.tar.zst" "$container_archive.new"
    mv "$container_archive.new" "$container_archive"
    rm -rf "$work"
}

# container_unpack: a fresh tree in $container_root.
container_unpack() {
    container_home=$(mktemp -d /var/tmp/quark-system.XXXXXX)
    container_root="$container_home/root"
    mkdir "$container_root"
    tar -C "$container_root" --zstd -xf "$container_archive"
}

# container_boot: starts its systemd and waits until that has started everything.
container_boot() {
    local i state
    # The container's own filter lets those through that the sandbox of plugins is built with.
    systemd-nspawn --register=no --keep-unit --private-network -q -b -D "$container_root" \
        --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp' \
        >"$container_home/console.log" 2>&1 </dev/null &
    container_nspawn=$!
    for ((i = 0; i < 300; i++)); do
        container_pid=$(cat "/proc/$container_nspawn/task/$container_nspawn/children" 2>/dev/null) || break
        container_pid=${container_pid%% *}
        if [ -n "$container_pid" ]; then
            state=$(inside systemctl is-system-running 2>/dev/null || true)
            case $state in
                running) return 0 ;;
                degraded)
                    inside systemctl --failed --no-pager
                    return 1
                    ;;
            esac
        fi
        sleep 0.2
    done
    tail -n 20 "$container_home/console.log"
    return 1
}

# inside COMMAND...: runs a command as root in the container, with an environment of its own.
inside() {
    nsenter -t "$container_pid" -m -u -i -n -p -- /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb \
        "$@" </dev/null
}

# container_end: takes the container down, if it is up, and removes its tree. For a trap.
container_end() {
    local i
    if [ -n "${container_nspawn:-}" ] && kill -0 "$container_nspawn" 2>/dev/null; then
        # Nspawn passes this on as an orderly power-off; what does not go down by itself within 10 s is killed.
        kill -TERM "$container_nspawn"
        for ((i = 0; i < 50; i++)); do
            kill -0 "$container_nspawn" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "$container_nspawn" 2>/dev/null || true
        wait "$container_nspawn" 2>/dev/null || true
    fi
    [ -z "${container_home:-}" ] || rm -rf "$container_home"
}
