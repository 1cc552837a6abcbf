#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""quarkctl with a real quarkd: a call, lists, completion, a reload, a plugin dropped later, an end.

usage: live.py QUARKD QUARKCTL COUNTER_PLUGIN BANK_PLUGIN LENDER_PLUGIN BORROWER_PLUGIN LEDGER_PLUGIN
"""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

quarkd, quarkctl, counter, bank, lender, borrower, ledger = (os.path.abspath(p) for p in sys.argv[1:8])
top = tempfile.mkdtemp(prefix='quark-ctl-')
plugins = os.path.join(top, 'plugins')
os.mkdir(plugins, 0o755)
shutil.copy(counter, plugins)
shutil.copy(ledger, plugins)
env = dict(os.environ, HOME=top, XDG_RUNTIME_DIR=os.path.join(top, 'run'), XDG_STATE_HOME=os.path.join(top, 'state'),
           XDG_DATA_HOME=os.path.join(top, 'data'), NO_COLOR='1')
os.mkdir(env['XDG_RUNTIME_DIR'], 0o700)
env.pop('QUARK_SOCKET', None)


def run(*words, code=0, stdin=None):
    done = subprocess.run([quarkctl, *words], env=env, capture_output=True, input=stdin, timeout=60, text=True)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def drop(plugin, name):
    # Under another name first, so that the daemon never sees half a file.
    shutil.copy(plugin, os.path.join(plugins, '.new'))
    os.rename(os.path.join(plugins, '.new'), os.path.join(plugins, name))
    run('reload')


def check_services():
    assert json.loads(run('services', '--json')[0]) == {'services': []}
    drop(lender, 'lender.so')
    drop(borrower, 'borrower.so')
    services = json.loads(run('services', '--json')[0])['services']
    assert sorted((s['plugin'], s['name'], s['lifetime'], s['needs']) for s in services) == [
        ('lender', 'purse', 'singleton', []), ('tally', 'debt', 'scoped', ['lender/purse'])], services
    assert 'debt tally scoped lender/purse\n' in run('services', '-n', '-r')[0]


def check():
    out, err = run('status', '--socket', os.path.join(top, 'none'), code=3)
    assert out == '' and 'QK0410' in err, err
    # Nothing but what is found: the socket of a daemon that was started with --dev.
    assert run('call', 'counter/alice', 'Increment')[0] == '{"count": 1}\n'
    assert run('call', 'counter/alice', 'Increment', '-', stdin='{"by": 4}')[0] == '{"count": 5}\n'
    assert 'did you mean `by`?' in run('call', 'counter/alice', 'Increment', '{"bye": 4}', code=2)[1]
    assert 'did you mean `counter`?' in run('call', 'conter/alice', 'Get', code=5)[1]
    assert 'did you mean `Get`?' in run('call', 'counter/alice', 'get', code=5)[1]
    actors = json.loads(run('actors', 'counter/al', '--json')[0])
    assert [(a['type'], a['key'], a['turns']) for a in actors['actors']] == [('counter', 'alice', '2')], actors
    assert run('actors', '-n', '-r', '-o', 'key')[0] == 'alice\n'
    assert json.loads(run('status', '--json')[0])['state'] == 'running'
    types = json.loads(run('types', 'counter', '--json')[0])
    assert 'counter.IncrementRequest' in [m['name'] for m in types['messages']], types
    assert run('__complete', '2', 'quarkctl', 'call', 'counter/a')[0] == 'counter/alice\n'
    assert run('__complete', '3', 'quarkctl', 'call', 'counter/alice', 'I')[0] == 'Increment\n'
    assert 'counter' in run('top', '--once', '--delay', '1ms')[0]
    keys = json.loads(run('config', 'show', 'socket.path', '--json')[0])['keys']
    assert keys[0]['key'] == 'socket.path', keys
    assert 'is taken out of memory' in run('deactivate', 'counter/alice')[1]
    assert run('call', 'counter/alice', 'Get')[0] == '{"count": 5}\n'
    drop(bank, 'libbank.so')
    assert run('call', 'account/a', 'Open', '{"cents": "500"}')[0] == '{"cents": "500"}\n'
    err = run('call', 'account/b', 'Get', code=1)[1]
    assert 'QK0520' in err and 'refused by the actor' in err and 'the method ran' in err, err
    check_events()


def check_events():
    for cents in range(1, 6):
        run('call', 'ledger/ann', 'Deposit', json.dumps({'cents': cents, 'from': 'bob'}))
    lines = [json.loads(line) for line in run('events', 'ledger/ann', '--json')[0].splitlines()]
    assert [e['position'] for e in lines] == ['1', '2', '3', '4', '5'], lines
    assert [e['event']['deposited']['cents'] for e in lines] == ['1', '2', '3', '4', '5'], lines
    out, err = run('events', 'ledger/ann', '--from', '2', '--limit', '2', '-n', '-r')
    assert [line.split()[0] for line in out.splitlines()] == ['2', '3'] and '"bob"' in out, out
    assert '--from 4 goes on' in err, err
    assert run('events', 'ledger/nobody') == ('', '')
    assert 'QK0424' in run('events', 'counter/alice', code=5)[1]
    assert '`--from` does not take `x`' in run('events', 'ledger/ann', '--from', 'x', code=2)[1]
    types = json.loads(run('types', 'ledger', '--json')[0])
    ledger_type = types['types'][0]
    assert (ledger_type['event'], ledger_type['store'], ledger_type['snapshotEvery']) == ('ledger.Entry', 'sqlite', 50)
    assert 'ledger.Deposited' in [m['name'] for m in types['messages']], types
    # What an administrator may find: an event that nobody can read, of an actor that can't be activated then.
    run('deactivate', 'ledger/ann')
    with sqlite3.connect(os.path.join(top, 'state', 'quark', 'state.db')) as db:
        db.execute("UPDATE event SET bytes = x'12051a' WHERE position = 3 AND key = CAST('ann' AS BLOB)")
    db.close()
    assert 'the event at position 3 of ledger/ann' in run('call', 'ledger/ann', 'Balance', code=1)[1]
    out, err = run('events', 'ledger/ann', code=1)
    assert 'damaged, 3 bytes: 12051a' in out and 'QK0423' in err, (out, err)


daemon = subprocess.Popen([quarkd, '--dev', '--plugins', plugins], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
try:
    for line in daemon.stdout:
        if 'listens on' in line:
            break
    else:
        sys.exit('quarkd did not start')
    check()
    check_services()
    daemon.send_signal(signal.SIGTERM)
    rest = daemon.communicate(timeout=60)[0]
    assert daemon.returncode == 0, (daemon.returncode, rest)
    # By its path, since quarkctl would look on and find a silo that somebody else runs.
    run('status', '--socket', os.path.join(env['XDG_RUNTIME_DIR'], 'quark', 'quarkd.sock'), code=3)
finally:
    if daemon.poll() is None:
        daemon.kill()
        daemon.wait()
    shutil.rmtree(top)
