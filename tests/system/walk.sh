# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The steps of the system test. Each is a function that fails at the first command that does, and prints a line of
# what it saw. Commands prefixed with `inside` run in the container.

# From run.sh and container.sh, which have sourced this file.
: "${build:?}"
container_home=${container_home:-}
container_root=${container_root:-}

plugins=/etc/quark/plugins.d
socket=/run/quark/quarkd.sock

fail() {
    printf '%s\n' "$*"
    return 1
}

property() {
    inside systemctl show quarkd --value -p "$1"
}

journal() {
    inside journalctl --no-pager -o cat -u quarkd
}

# expect WHAT GOT WANT
expect() {
    [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
}

# expect_status WANT COMMAND...: the command's exit status; its output goes where the step's goes.
expect_status() {
    local want=$1 got=0
    shift
    "$@" || got=$?
    expect "exit status of: $*" "$got" "$want"
}

# within SECONDS WHAT COMMAND...: polls until the command succeeds.
within() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "in vain: $what"
        sleep 0.1
    done
}

# ask ACTOR METHOD [JSON]: what the method answers, one line of JSON.
ask() {
    inside quarkctl call "$@" | jq -c .
}

answers() {
    ask counter/alice Get >/dev/null && ask greeter/alice Get >/dev/null
}

has_restarted() {
    [ "$(property NRestarts)" -gt "$1" ]
}

is_listed() {
    inside quarkctl plugins --json | grep -q "$1"
}

# The files that an installation could touch, for the comparison after the uninstall. What systemd-sysusers leaves
# beside the tables of users is not the installation's.
list_files() {
    (cd "$container_root" && find etc usr -not -name '*-' -not -name .pwd.lock -not -name '*.pyc' \
        -not -name __pycache__ | sort)
}

# ---- the administrator's first minutes

install_build() {
    list_files >"$container_home/before"
    DESTDIR="$container_root" meson install --no-rebuild -C "$build" >"$container_home/install.log"
    inside systemctl daemon-reload
    inside systemd-sysusers
    inside systemd-tmpfiles --create
    inside id quark
    inside test -d $plugins
    inside quarkd --check
    grep -c '^Installing' "$container_home/install.log" | sed 's/$/ files, user quark, \/etc\/quark/'
}

# Installing once more leaves alone what an administrator has changed.
install_again() {
    inside sh -c 'echo "# ours" >>/etc/quark/quarkd.conf'
    DESTDIR="$container_root" meson install --no-rebuild -C "$build" >"$container_home/install.log"
    inside tail -n 1 /etc/quark/quarkd.conf
}

verify_unit() {
    inside systemd-analyze verify --man=no quarkd.service
    inside systemd-analyze --no-pager --threshold=20 security quarkd.service >"$container_home/security"
    sed -n 's/.*\(Overall exposure level.*\)/\1/p' "$container_home/security" | cut -d ' ' -f 1-6
}

# The sandbox of plugins inside the unit's own: a unit that is the daemon's but for what it starts.
build_walls() {
    install -m 755 "$build/tests/system/walls" "$container_root/usr/local/bin/walls"
    sed -e 's|^ExecStart=.*|ExecStart=/usr/local/bin/walls|' -e 's/^Type=.*/Type=oneshot/' \
        -e '/^\(ExecReload\|Restart\|RuntimeDirectory\|StateDirectory\|WatchdogSec\)/d' \
        "$container_root/usr/lib/systemd/system/quarkd.service" >"$container_root/etc/systemd/system/walls.service"
    inside systemctl daemon-reload
    inside systemctl start walls.service || {
        inside journalctl --no-pager -o cat -u walls.service
        return 1
    }
    inside rm /etc/systemd/system/walls.service /usr/local/bin/walls
    inside systemctl daemon-reload
    inside journalctl --no-pager -o cat -u walls.service | grep 'the walls stand'
}

start() {
    # A short watchdog, so that the steps which wait for it are.
    inside sh -c 'mkdir -p /etc/systemd/system/quarkd.service.d &&
        printf "[Service]\nWatchdogSec=3\n" >/etc/systemd/system/quarkd.service.d/test.conf'
    inside systemctl daemon-reload
    inside systemctl enable --now quarkd
    expect 'state' "$(property ActiveState)/$(property SubState)" active/running
    expect 'socket' "$(inside stat -c '%a %U:%G' $socket)" '666 quark:quark'
    expect 'state directory' "$(inside stat -c '%a %U:%G' /var/lib/quark)" '750 quark:quark'
    inside quarkctl status
    expect 'a sample answers' "$(ask counter/alice Increment)" '{"count":1}'
    property StatusText
}

# ---- the author of an actor

# new_project NAME: as its README says, with nothing but the installed SDK.
new_project() {
    inside sh -c "cd /root && quarkctl new $1"
}

build_project() {
    inside sh -c "cd /root/$1 && meson setup build && meson compile -C build && meson test -C build"
}

author() {
    new_project greeter
    build_project greeter
    inside sh -c 'cd /root/greeter && ls' | tr '\n' ' '
    printf '\n'
}

drop() {
    expect_status 5 inside quarkctl call greeter/alice Increment
    inside install -m 644 /root/greeter/build/libgreeter.so $plugins/
    within 10 'the plugin is listed' is_listed libgreeter.so
    expect 'first call' "$(ask greeter/alice Increment)" '{"count":1}'
    expect 'second call' "$(ask greeter/alice Increment '{"by": 41}')" '{"count":42}'
    expect 'another actor' "$(ask greeter/bob Get)" '{}'
    inside quarkctl types
    inside quarkctl actors
    printf 'greeter/alice Increment answers {"count":42}\n'
}

# A second project goes the other way, through `meson install`. Its Increment takes `by` milliseconds and its Get never
# ends: what the steps below need.
install_spinner() {
    new_project spinner
    inside sed -i -e '1a #include <unistd.h>' -e 's/^    self->count += by;$/    usleep(1000 * by);\n&/' \
        -e 's/^    (void)t;$/    for (volatile int on = 1; on;)\n        ;\n&/' /root/spinner/spinner.c
    inside sh -c 'cd /root/spinner && meson setup build && meson compile -C build && meson install -C build'
    within 10 'the plugin is listed' is_listed libspinner.so
    ask spinner/a Increment
    inside quarkctl plugins
}

refuse_plugins() {
    inside install -m 666 /root/greeter/build/libgreeter.so $plugins/open.so
    inside sh -c "head -c 5000 /root/greeter/build/libgreeter.so >$plugins/short.so"
    inside sh -c "echo no plugin >$plugins/text.so"
    inside install -m 644 /root/greeter/build/libgreeter.so $plugins/taken.so
    local name
    for name in open short text taken; do
        within 10 "the journal names $name.so" journal_has "$name.so"
        journal | grep "$name.so" | head -n 1
        inside rm "$plugins/$name.so"
    done
    answers
    printf 'writable by others, truncated, no plugin, type taken: one line each\n'
}

journal_has() {
    journal | grep -q -- "$1"
}

permissions() {
    expect_status 4 inside runuser -u nobody -- quarkctl call counter/alice Get
    expect_status 0 inside runuser -u nobody -G quark -- quarkctl call counter/alice Get
    printf 'nobody is refused with exit status 4, a member of the group quark is not\n'
}

# ---- things that go wrong

kill_daemon() {
    local before
    before=$(property NRestarts)
    inside kill -KILL "$(property MainPID)"
    within 10 'the service manager starts it again' has_restarted "$before"
    within 10 'calls are answered again' answers
    printf 'back and answering\n'
}

stop_signal() {
    local before
    before=$(property NRestarts)
    inside kill -STOP "$(property MainPID)"
    within 20 'the watchdog acts' has_restarted "$before"
    within 10 'calls are answered again' answers
    inside journalctl --no-pager -o cat _PID=1 -u quarkd | grep -i 'watchdog timeout' | tail -n 1
}

spin_worker() {
    local before
    before=$(property NRestarts)
    # A time-out: the method may have run.
    expect_status 7 inside quarkctl call --timeout 1s spinner/a Get
    within 20 'the watchdog acts' has_restarted "$before"
    within 10 'calls are answered again' answers
    journal | grep 'spinner' | grep 'Get' | tail -n 1
}

# ---- reload and mistakes

reload() {
    local pid
    pid=$(property MainPID)
    inside sh -c 'printf "runtime: { long_turn = \"5s\"; };\n" >/etc/quark/conf.d/10-test.conf'
    inside systemctl reload quarkd
    expect 'process' "$(property MainPID)" "$pid"
    answers
    within 5 'the daemon tells what it took over' journal_has 'long_turn'
    journal | grep 'long_turn' | tail -n 1
}

reload_mistake() {
    local pid
    pid=$(property MainPID)
    inside sh -c 'printf "runtime: { long_tun = \"500ms\"; };\n" >/etc/quark/conf.d/20-mistake.conf'
    expect_status 6 inside quarkd --check
    expect_status 1 inside systemctl reload quarkd
    expect 'process' "$(property MainPID)" "$pid"
    expect 'state' "$(property ActiveState)" active
    answers
    journal | grep -A 6 '20-mistake.conf' | grep 'long_turn' | tail -n 1
}

start_mistake() {
    inside systemctl stop quarkd
    expect_status 1 inside systemctl start quarkd
    expect 'exit status of the daemon' "$(property ExecMainStatus)" 6
    expect 'state' "$(property ActiveState)" failed
    expect 'restarts' "$(property NRestarts)" 0
    inside rm /etc/quark/conf.d/20-mistake.conf
    inside systemctl start quarkd
    answers
    printf 'failed with status 6, not started over and over, runs once it is mended\n'
}

# ---- plugins in processes of their own

# host_of PLUGIN: the process that it runs in.
host_of() {
    inside quarkctl plugins | awk -v plugin="$1" '$1 == plugin && $6 == "process" { print $7 }'
}

has_another_host() {
    local pid
    pid=$(host_of counter)
    [ -n "$pid" ] && [ "$pid" != "$1" ]
}

# Inside the sandbox, under all that the unit sets: the plugin answers, and its end is its own.
isolated() {
    local daemon host
    inside sh -c 'printf "plugins: { isolation = \"process\"; };\n" >/etc/quark/conf.d/30-isolated.conf'
    inside systemctl restart quarkd
    answers
    daemon=$(property MainPID)
    host=$(host_of counter)
    [ -n "$host" ] || fail 'counter has no process of its own'
    inside kill -SEGV "$host"
    within 10 'the plugin has another process' has_another_host "$host"
    within 10 'it answers again' answers
    expect 'the daemon' "$(property MainPID)" "$daemon"
    inside rm /etc/quark/conf.d/30-isolated.conf
    inside systemctl restart quarkd
    answers
    journal | grep 'the process of plugin counter has ended: SIGSEGV' | tail -n 1
}

# ---- the end

stop_drains() {
    local status=0 start=$EPOCHREALTIME
    inside quarkctl call spinner/slow Increment '{"by": 1500}' >"$container_home/slow" &
    sleep 0.5
    inside systemctl stop quarkd
    wait $! || status=$?
    expect 'the call under way ends well' "$status" 0
    expect 'result' "$(property Result)/$(property ExecMainStatus)" success/0
    expect_status 3 inside quarkctl status
    inside test ! -e $socket
    awk -v a="$start" -v b="$EPOCHREALTIME" \
        'BEGIN { printf "a call under way was answered; stopped after %.1f s\n", b - a; exit b - a > 30 }'
}

start_again() {
    inside systemctl start quarkd
    within 10 'calls are answered' answers
    printf 'plugins are loaded at the start\n'
}

uninstall() {
    inside systemctl disable --now quarkd
    inside rm -r /etc/systemd/system/quarkd.service.d "$plugins/libgreeter.so" /etc/quark/conf.d/10-test.conf
    inside ninja -C /root/spinner/build uninstall
    ninja -C "$build" uninstall >"$container_home/uninstall.log"
    inside systemctl daemon-reload
    expect 'unit' "$(property LoadState)" not-found
    list_files >"$container_home/after"
    # The configuration and the directories that tmpfiles made are the administrator's.
    diff "$container_home/before" "$container_home/after" | grep '^[<>]' | grep -vE '^> etc/quark(/(conf|plugins)\.d|/quarkd\.conf)?$' &&
        fail 'the uninstall left or took these'
    expect_status 1 inside test -e /usr/bin/quarkd
    printf 'nothing is left but /etc/quark and /var/lib/quark\n'
}

walk_all() {
    walk 'install' install_build
    walk 'install again: the configuration stays' install_again
    walk 'the unit is valid and locked in (under 2.0)' verify_unit
    walk 'the sandbox of plugins inside the unit' build_walls
    walk 'systemctl enable --now' start
    walk 'quarkctl new, meson setup, compile, test' author
    walk 'drop the .so, call it' drop
    walk 'a second actor through meson install' install_spinner
    walk 'bad plugins are refused, the rest goes on' refuse_plugins
    walk 'who may call' permissions
    walk 'kill -9' kill_daemon
    walk 'kill -STOP: the watchdog acts' stop_signal
    walk 'a turn that never ends: the watchdog acts' spin_worker
    walk 'reload' reload
    walk 'reload of a mistake' reload_mistake
    walk 'start with a mistake' start_mistake
    walk 'isolated plugins, and the end of one' isolated
    walk 'stop drains' stop_drains
    walk 'start again' start_again
    walk 'uninstall' uninstall
}
