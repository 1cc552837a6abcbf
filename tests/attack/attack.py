#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks a silo over its socket as a hostile or broken client would, and checks after each attack that the silo lives,
answers others, has let go of the connections, and has kept its memory within bounds.

usage: attack.py [--sanitized] PLUGINS COMMAND...

COMMAND starts a silo that runs in the foreground; the word SOCKET in it stands for the socket's path and PLUGINS for a
folder with the sample actors `counter` and `words`, copied from the folder given first. ATTACK_ONLY="garbage half_frames" in the environment picks attacks by name.
"""

import glob
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

CLIENTS_MAX = 1024
PATIENCE = 20.0  # seconds after which an answer that has not come never will
MIB = 1 << 20

EUNAVAILABLE, EPROTOCOL, EINVALID, ENOTFOUND = -1005, -1008, -1013, -1004


def fnv(text, start, prime, bits):
    h = start
    for byte in text.encode():
        h = (h ^ byte) * prime % (1 << bits)
    return h


def type_id(name):
    return fnv(name, 14695981039346656037, 1099511628211, 64)


def method_id(name):
    return fnv(name, 2166136261, 16777619, 32)


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, wire, value):
    return varint(number << 3 | wire) + value


def chunk(number, value):
    return field(number, 2, varint(len(value)) + value)


def frame(envelope, payload=b""):
    return struct.pack("<II", len(envelope), len(payload)) + envelope + payload


def hello(major=1, name=b"attack"):
    return frame(chunk(1, field(1, 0, varint(major)) + chunk(3, name)))


def call(id, key, method="Increment", type="counter", payload=b"", timeout_ms=0, one_way=False):
    body = field(1, 0, varint(id)) + field(2, 1, struct.pack("<Q", type_id(type)))
    body += field(3, 5, struct.pack("<I", method_id(method))) + chunk(4, key)
    if timeout_ms:
        body += field(5, 0, varint(timeout_ms))
    if one_way:
        body += field(6, 0, varint(1))
    return frame(chunk(3, body), payload)


def admin(id, request):
    return frame(chunk(6, field(1, 0, varint(id))), request)


def read_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return n, at


def members(data):
    """The members of a serialised message, the last of each number."""
    at, out = 0, {}
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            out[tag >> 3], at = read_varint(data, at)
        elif tag & 7 == 2:
            size, at = read_varint(data, at)
            out[tag >> 3] = data[at : at + size]
            at += size
        else:
            raise AssertionError("a wire type that the silo does not send")
    return out


class Closed(Exception):
    pass


class Client:
    def __init__(self, greet=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(silo.path)
        self.pending = b""
        if greet:
            self.send(hello())
            assert self.receive()[0] == "welcome"

    def send(self, data):
        self.socket.sendall(data)

    def try_send(self, data):
        """Like send, where the silo may well have had enough."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def exactly(self, size):
        while len(self.pending) < size:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self.pending += data
        out, self.pending = self.pending[:size], self.pending[size:]
        return out

    def receive(self):
        """The kind of the next frame, its members and its payload."""
        envelope, payload = struct.unpack("<II", self.exactly(8))
        assert 1 <= envelope <= 4096 and payload <= 4 * MIB, "the silo sends a frame out of bounds"
        (number, body), = members(self.exactly(envelope)).items()
        kind = {2: "welcome", 4: "reply", 7: "go_away"}[number]
        return kind, members(body), self.exactly(payload)

    def reply(self):
        kind, body, payload = self.receive()
        assert kind == "reply", f"a {kind} came in place of a reply: {body}"
        status = body.get(2, 0)
        return body.get(1, 0), (status >> 1) ^ -(status & 1), payload

    def status_of(self, data):
        self.send(data)
        return self.reply()[1]

    def expect_the_end(self, status=None):
        """Reads until the silo closes; the GoAway before must have the status."""
        said = None
        try:
            while True:
                kind, body, _ = self.receive()
                if kind == "go_away":
                    zigzag = body.get(1, 0)
                    said = (zigzag >> 1) ^ -(zigzag & 1)
        except Closed:
            pass
        assert status is None or said == status, f"the silo said {said} before it closed, not {status}"
        self.close()

    def close(self):
        self.socket.close()


class Silo:
    def __init__(self, plugins, command):
        self.dir = tempfile.mkdtemp(prefix="quark-attack-")
        self.path = os.path.join(self.dir, "socket")
        folder = os.path.join(self.dir, "plugins")
        os.mkdir(folder, 0o700)
        for name in ("counter", "words"):
            (file,) = glob.glob(os.path.join(plugins, f"*{name}.so"))
            shutil.copy(file, folder)
            os.chmod(os.path.join(folder, os.path.basename(file)), 0o644)
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        words = {"SOCKET": self.path, "PLUGINS": folder}
        environment = dict(os.environ, XDG_STATE_HOME=self.dir, XDG_DATA_HOME=self.dir,
                           XDG_RUNTIME_DIR=self.dir)
        self.process = subprocess.Popen([words.get(w, w) for w in command], stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, env=environment)

    def wait_until_it_answers(self):
        for _ in range(int(PATIENCE * 20)):
            assert self.process.poll() is None, "the silo ended before it took calls"
            try:
                still_serves()
                return
            except (FileNotFoundError, ConnectionRefusedError, Closed):
                pass
            time.sleep(0.05)
        raise AssertionError("the silo takes no calls")

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("the silo is gone")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE + 15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "none: it did not stop"

    def clean_up(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def still_serves():
    client = Client()
    assert client.status_of(call(7, b"alive", "Get")) == 0
    client.close()


def within(bound):
    """The silo's memory comes to lie below `bound` bytes above what it was before the attack."""
    if not sanitized:
        eventually(lambda: silo.memory() < before + bound, f"the silo keeps more than {bound // MIB} MiB")


def check_peak(peak, allowed):
    global highest
    highest = max(highest, peak)
    if not sanitized:
        assert peak < before + allowed, f"it cost the silo {(peak - before) // MIB} MiB, more than {allowed // MIB}"


# The attacks. Each leaves only closed connections behind.


def killed_in_the_middle_of_a_thousand_calls():
    for _ in range(20):
        child = os.fork()
        if child == 0:
            client = Client()
            client.send(b"".join(call(i + 1, b"k%d" % (i % 50)) for i in range(1000)))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    within(64 * MIB)


def never_reads():
    """Asks for long replies and reads none."""
    words = b"".join(chunk(2, b"w%d" % i) for i in range(2000))
    clients = [Client() for _ in range(4)]
    for client in clients:
        client.socket.setblocking(False)
    request = b"".join(call(i + 1, b"r%d" % i, "Top", "ranking", field(1, 0, varint(2000)) + words) for i in range(4))
    sent = [0] * len(clients)
    end = time.monotonic() + 3
    peak = 0
    while time.monotonic() < end:
        for i, client in enumerate(clients):
            try:
                rest = memoryview(request)[sent[i] % len(request) :]
                sent[i] += client.socket.send(rest)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
        peak = max(peak, silo.memory())
    check_peak(peak, 512 * MIB)
    still_serves()
    for client in clients:
        client.close()
    within(256 * MIB)


def reads_very_slowly():
    client = Client()
    client.send(b"".join(call(i + 1, b"slow") for i in range(500)))
    for _ in range(4000):
        if not client.socket.recv(1):
            raise AssertionError("a client that reads slowly was cut off")
    client.close()


def garbage():
    random.seed(4)
    for i in range(300):
        client = Client(greet=i % 2 == 0)
        client.try_send(random.randbytes(random.randrange(1, 5000)))
        client.socket.shutdown(socket.SHUT_WR)
        client.expect_the_end()


def damaged_frames():
    random.seed(5)
    good = call(1, b"damaged") + admin(2, chunk(1, b"")) + call(3, b"damaged", "Get")
    for _ in range(1000):
        bad = bytearray(good)
        for _ in range(random.randrange(1, 4)):
            bad[random.randrange(len(bad))] = random.randrange(256)
        client = Client()
        client.try_send(bytes(bad))
        client.socket.shutdown(socket.SHUT_WR)
        client.expect_the_end()


def out_of_bounds():
    for head in ((0, 0), (0, 5), (8193, 0), (1, 4 * MIB + 1), (0xFFFFFFFF, 0xFFFFFFFF), (0x80000000, 1)):
        client = Client()
        client.send(struct.pack("<II", *head))
        client.expect_the_end(EPROTOCOL)


def out_of_turn():
    for first in (call(1, b"early"), admin(1, b""), frame(chunk(2, b"")), frame(chunk(1, b"") + chunk(1, b""))):
        client = Client(greet=False)
        client.send(first)
        client.expect_the_end()
    client = Client(greet=False)
    client.send(hello(major=2))
    client.expect_the_end(-1014)
    for later in (hello(), frame(chunk(2, b"")), frame(chunk(4, b"")), frame(chunk(7, b"")), call(0, b"zero")):
        client = Client()
        client.send(later)
        client.expect_the_end(EPROTOCOL)


def calls_that_can_not_be():
    """Each is refused on its own; the connection goes on."""
    client = Client()
    nested = b""
    for _ in range(2000):
        nested = chunk(1, nested)
    for data, status in (
        (call(1, b""), EINVALID),
        (call(2, b"k" * 513), EINVALID),
        (call(3, b"\xff"), EINVALID),
        (call(4, b"a\0b"), EINVALID),
        (call(5, b"k", type="nonsense"), ENOTFOUND),
        (call(6, b"k", method="Nonsense"), ENOTFOUND),
        (call(7, b"k", payload=b"\x08"), EINVALID),
        (call(8, b"k", payload=b"\x0b"), EINVALID),
        (call(9, b"k", "Top", "ranking", chunk(2, b"\xc0\x80")), EINVALID),
        (call(10, b"k", "Top", "ranking", nested), EINVALID),
        (admin(11, b"\xff\xff"), EINVALID),
        (admin(12, b""), None),
        (call(13, b"k", "Get"), 0),
    ):
        got = client.status_of(data)
        assert got == status or (status is None and got < 0), f"{data[:60]!r}: {got}, not {status}"
    client.close()


def one_id_many_times():
    client = Client()
    client.send(b"".join(call(5, b"same") for _ in range(100)))
    for _ in range(100):
        assert client.reply()[0] == 5
    client.close()


def two_thousand_connections():
    clients = []
    refused = 0
    for _ in range(2000):
        client = Client(greet=False)
        client.try_send(hello())
        clients.append(client)
    for client in clients:
        try:
            kind, body, _ = client.receive()
            if kind == "go_away":
                refused += 1
                zigzag = body.get(1, 0)
                assert (zigzag >> 1) ^ -(zigzag & 1) == EUNAVAILABLE
        except Closed:
            refused += 1
    assert refused == len(clients) - CLIENTS_MAX, f"{refused} connections of {len(clients)} were refused"
    for client in clients[:CLIENTS_MAX:100]:
        assert client.status_of(call(3, b"crowd")) == 0
    for client in clients:
        client.close()
    eventually(lambda: silo.descriptors() <= descriptors_at_rest + 4, "the silo keeps descriptors of closed connections")
    within(64 * MIB)


def half_frames():
    """Five hundred connections that begin a frame and stop, among them some that never greet."""
    clients = [Client(greet=i % 5 != 0) for i in range(500)]
    whole = call(9, b"half", payload=b"\x08\x01" * 40)
    for i, client in enumerate(clients):
        client.send((hello() if i % 5 == 0 else whole)[: 1 + i % 20])
    still_serves()
    for client in clients:
        client.close()
    within(64 * MIB)


def announced_and_not_sent():
    """Frames of 4 MiB of which a little comes: memory is for what has come."""
    clients = [Client() for _ in range(500)]
    whole = call(9, b"big", payload=bytes(4 * MIB))
    for client in clients:
        client.send(whole[:20000])
    still_serves()
    within(128 * MIB)
    for client in clients:
        client.close()
    within(64 * MIB)


def byte_by_byte():
    client = Client(greet=False)
    for byte in hello() + call(1, b"drip"):
        client.send(bytes((byte,)))
    assert client.receive()[0] == "welcome"
    assert client.reply() == (1, 0, b"\x08\x01")
    client.close()


def largest_payloads():
    """As many as a connection may have: calls of 4 MiB that wait cost what the bounds say."""
    client = Client()
    client.socket.setblocking(False)
    junk = chunk(100, bytes(4 * MIB - 100))
    data = b"".join(call(i + 1, b"large", "Add", "word", junk) for i in range(4))
    at, peak, end = 0, 0, time.monotonic() + 3
    while time.monotonic() < end and at < 400 * MIB:
        try:
            at += client.socket.send(memoryview(data)[at % len(data) :][: 1 << 18])
        except BlockingIOError:
            peak = max(peak, silo.memory())
            time.sleep(0.001)
        except (BrokenPipeError, ConnectionResetError):
            break
    check_peak(peak, 512 * MIB)
    still_serves()
    client.close()
    within(256 * MIB)


def gone_before_the_answer():
    for _ in range(500):
        client = Client()
        client.send(call(1, b"gone") + admin(2, chunk(2, b"")))
        client.close()


def half_closed():
    """Says that nothing more will come, and still gets its replies."""
    client = Client()
    client.send(b"".join(call(i + 1, b"last") for i in range(200)))
    client.socket.shutdown(socket.SHUT_WR)
    for _ in range(200):
        assert client.reply()[1] == 0
    client.expect_the_end()


ATTACKS = [
    killed_in_the_middle_of_a_thousand_calls,
    never_reads,
    reads_very_slowly,
    garbage,
    damaged_frames,
    out_of_bounds,
    out_of_turn,
    calls_that_can_not_be,
    one_id_many_times,
    two_thousand_connections,
    half_frames,
    announced_and_not_sent,
    byte_by_byte,
    largest_payloads,
    gone_before_the_answer,
    half_closed,
]


def run(attack):
    global before, highest
    start = time.monotonic()
    before = highest = silo.memory()
    try:
        attack()
        still_serves()
        assert silo.process.poll() is None, "the silo died"
        eventually(lambda: silo.descriptors() <= descriptors_at_rest + 4, "the silo keeps descriptors of closed connections")
        highest = max(highest, silo.memory())
        problem = ""
    except Exception as error:  # whatever it is, the attack has succeeded
        problem = str(error) or repr(error)
        if not isinstance(error, AssertionError):
            problem += "\n" + traceback.format_exc()
    print(f"{'FAILED' if problem else 'ok':6} {time.monotonic() - start:5.1f} s {(highest - before) / MIB:+6.0f} MiB  "
          f"{attack.__name__.replace('_', ' ')}{': ' if problem else ''}{problem}", flush=True)
    return not problem


arguments = sys.argv[1:]
sanitized = "--sanitized" in arguments[:1]
arguments = arguments[sanitized:]
if len(arguments) < 2:
    sys.exit(__doc__)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
silo = Silo(arguments[0], arguments[1:])
only = os.environ.get("ATTACK_ONLY", "").split()
failed = 0
try:
    silo.wait_until_it_answers()
    descriptors_at_rest = silo.descriptors()
    for attack in ATTACKS:
        if only and attack.__name__ not in only:
            continue
        failed += not run(attack)
        if silo.process.poll() is not None:
            break
    if silo.process.poll() is None:
        status = silo.stop()
        print(f"the silo stops; exit status {status}")
        failed += status != 0
    else:
        print(f"the silo ended by itself: exit status {silo.process.returncode}")
        failed += 1
    if failed:
        silo.log.seek(0)
        print("the last of its log:")
        print("\n".join("  | " + line for line in silo.log.read().decode(errors="replace").splitlines()[-40:]))
finally:
    silo.clean_up()
sys.exit(failed != 0)
