#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the seeds of tests/fuzz/corpus that are messages, frames and texts.

usage: seeds.py CORPUS PROTO     (PROTO: the folder of the tree's .proto files)
"""
import os
import struct
import subprocess
import sys
import tempfile

TOP, PROTO = sys.argv[1], sys.argv[2]


def seed(target, name, data):
    os.makedirs(os.path.join(TOP, target), exist_ok=True)
    with open(os.path.join(TOP, target, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def text(field, data):
    data = data if isinstance(data, bytes) else data.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed64(field, n):
    return varint(field << 3 | 1) + struct.pack("<Q", n)


def fixed32(field, n):
    return varint(field << 3 | 5) + struct.pack("<I", n)


HELLO = text(1, number(1, 1) + number(2, 0) + text(3, "fuzz"))
CALL = text(3, number(1, 7) + fixed64(2, 0x1122334455667788) + fixed32(3, 0x9dc3aa14) + text(4, "alice") +
            number(5, 1000) + number(7, 99))
SEND = text(3, number(1, 8) + fixed64(2, 1) + fixed32(3, 3) + text(4, "b\u00e4r") + number(6, 1))
CANCEL = text(5, number(1, 7))
ADMIN = text(6, number(1, 9))
WELCOME = text(2, number(1, 1) + text(3, "silo") + number(4, 4 << 20) + number(5, 65536))
REPLY = text(4, number(1, 7) + number(2, 2003) + text(3, "no luck today") + number(4, 1))
GO_AWAY = text(7, number(1, 2009) + text(2, "the silo stops"))
KINDS = {"hello": HELLO, "call": CALL, "send": SEND, "cancel": CANCEL, "admin": ADMIN, "welcome": WELCOME,
         "reply": REPLY, "go_away": GO_AWAY}


def envelopes():
    for name, data in KINDS.items():
        for target in ["envelope", "reply"]:
            seed(target, name, data)
        seed("wire", name, b"\0" + data)
    for target in ["envelope", "reply"]:
        seed(target, "two", HELLO + REPLY)
        seed(target, "unknown", CALL + number(100, 5) + text(101, "x"))
        seed(target, "twice", REPLY + text(4, number(1, 8)))


def messages():
    plugin = text(1, "counter") + text(2, "1.0") + text(4, "loaded") + text(7, "counter") + number(8, 1234567)
    seed("wire", "request", b"\1" + text(3, text(1, "counter") + text(2, "a") + number(3, 10)))
    seed("wire", "answer", b"\2" + text(4, text(1, plugin) + text(1, plugin)))
    nested = text(1, "M")
    for _ in range(10):
        nested = text(1, "N") + text(3, nested)
    seed("wire", "nested", b"\3" + text(1, text(1, "a.proto") + text(4, nested)))
    deep = b""
    for _ in range(40):
        deep = text(3, deep)
    seed("wire", "too_deep", b"\3" + text(1, text(4, deep)))


def frames():
    def frame(envelope, payload=b""):
        return struct.pack("<II", len(envelope), len(payload)) + envelope + payload
    hello = frame(HELLO)
    calls = frame(CALL, b"\x08\x05") + frame(SEND) + frame(ADMIN, b"\x0a\0") + frame(CANCEL)
    seed("gateway", "whole", b"\xff\xff" + hello + calls * 3)
    seed("gateway", "bytes", b"\0\0" + hello + calls)
    seed("gateway", "pieces", b"\x10\0" + hello + calls * 2)
    seed("gateway", "no_hello", b"\xff\0" + calls)
    seed("gateway", "too_large", b"\xff\0" + hello + struct.pack("<II", 4097, 0) + b"x" * 64)
    seed("gateway", "large_payload", b"\xff\x0f" + hello + frame(CALL, b"p" * 30000))
    seed("gateway", "of_a_silo", b"\xff\0" + hello + frame(REPLY))


def jsons():
    texts = [
        (0, '{"scalars": {"aDouble": 1.5, "an_int64": "9007199254740993", "aString": "\\u00e4\\ud83d\\ude00", '
            '"someBytes": "AAEC", "color": "BLUE"}, "more": [{"lists": {"int32s": [1, -2, 3e2]}}]}'),
        (1, '{"aFloat": "NaN", "aDouble": -0, "aUint64": 18446744073709551615, "aBool": true, "color": -3, '
            '"other name": "x", "inner": {"inner": {"words": ["a", ""]}}}'),
        (2, '{"doubles": [1, "Infinity"], "strings": [], "blobs": ["_-8="], "colors": ["RED", 7], "bools": [false]}'),
        (3, '{"words": {"a": "b", "": "c"}, "inners": {"-1": {"value": 5}}, "bools": {"true": "1"}, '
            '"fixed": {"18446744073709551615": true}}'),
        (4, '{"text": null, "real": 1e-300, "nothing": null, "plain": "12"}'),
        (5, '{"number": 0, "text": "", "flag": false}'),
        (6, '{"time": "2024-02-29T23:59:59.999999999Z", "duration": "-1.5s", "int64Value": "5", "empty": {}, '
            '"fields": {"a": [1, null, {"b": "c"}]}, "mask": "a.bC,d", "boolValue": true}'),
        (6, '{"any": {"@type": "type.googleapis.com/quark.every.Inner", "value": 3}, "values": {"k": null}}'),
        (8, '{"name": "n", "number": 3, "label": "LABEL_REPEATED", "type": 9, "options": {"packed": true}}'),
    ]
    for i, (kind, data) in enumerate(texts):
        seed("json", f"text{i}", bytes([kind]) + data.encode())
    seed("json", "bad", b'\1{"aFloat": tru')
    seed("json", "trailing", b'\1{} x')
    seed("json", "duplicate", b'\1{"aBool": true, "aBool": false}')


CONFIGS = {
    "empty": "",
    "plain": 'silo: { name = "alpha"; };\nplugins: { directories = ["/usr/lib/quark/plugins"]; };\n',
    "unknown": 'slio: { name = "x"; };\n',
    "types": 'runtime: { workers = "two"; mailbox = 1.5; };\n',
    "units": 'runtime: { timeout = "10s"; idle_age = "15min"; stack_size = "1MiB"; workers = 4; };\n',
    "list": 'socket: { path = "/run/quark/quarkd.sock"; mode = "0660"; users = ["root", "0"]; groups = [ ]; };\n',
    "broken": 'silo: { name = "x\n',
    "include": '@include "other.conf"\nsilo = { }\n',
    "comments": '# a\n// b\n/* c */ silo = { name = "a" "b"; }; log = { level = "debug"; };\n',
    "deep": "a = " + "(" * 20 + ")" * 20 + ";\n",
    "numbers": "a = 99999999999999999999; b = -1L; c = 1e5; d = true;\n",
}

SCHEMA = """
syntax = "proto3";
package f;
enum E { option allow_alias = true; ZERO = 0; ONE = 1; EINS = 1; }
message A {
  int32 n = 1; string s = 2; repeated A more = 3; E e = 4 [json_name = "ee"];
  message C { oneof o { bool b = 1; bytes y = 2; } }
  map<string, C> m = 5; repeated double d = 6; optional int64 p = 7;
}
message B { A a = 1; A.C c = 2; }
message D { }
service S { rpc Do(A) returns (B); rpc Flow(D) returns (stream D); }
"""

ACTOR = """
syntax = "proto3";
package f;
import "quark/options.proto";
// The state.
message State { int64 n = 1; }
message Nothing { }
service Actor {
  option (quark.actor) = { state: "State" placement: "%s" mailbox: 10 on_activate: true };
  // Adds.
  rpc Add(State) returns (State) { option (quark.method) = { deadline_ms: 500 }; }
  rpc Tell(State) returns (Nothing) { option (quark.method) = { one_way: true id: 77 }; }
  rpc Get(Nothing) returns (State) { option (quark.method) = { read_only: true }; }
}
"""


def run_protoc(source, arguments, **keywords):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "f.proto"), "w", encoding="utf-8") as file:
            file.write(source)
        subprocess.run(["protoc", f"-I{folder}", f"-I{PROTO}", *[a.format(folder) for a in arguments], "f.proto"],
                       check=True, **keywords)
        with open(os.path.join(folder, "out"), "rb") as file:
            return file.read()


def protos():
    seed("schema", "small", run_protoc(SCHEMA, ["--descriptor_set_out={}/out"]))
    seed("schema", "enum", run_protoc('syntax = "proto2"; package f; enum E { V = 5; } message A { required E e = 1 '
                                      '[default = V]; extensions 10 to 20; }', ["--descriptor_set_out={}/out"]))
    # A request as protoc makes it, but without the files of Google's, which are long.
    for name, source in {"actor": ACTOR % "hash", "placement": ACTOR % "anywhere", "plain": SCHEMA}.items():
        files = run_protoc(source, ["--include_source_info", "--descriptor_set_out={}/out"])
        options = text(1, text(1, "quark/options.proto") + text(2, "quark"))
        as_request = varint(15 << 3 | 2) + files[1:]  # the set's one file as a member of the request
        seed("generator", name, text(1, "f.proto") + text(2, "plugin=fuzz,version=1") + varint(15 << 3 | 2) +
             options[1:] + as_request)
    seed("generator", "parameter", text(1, "f.proto") + text(2, "plugn=x,version=,=,plugin=A b"))


def record(tag, data):
    return struct.pack("<II", len(data), tag) + data + b"\0" * (-len(data) % 8)


def flat(kind, number_of, key=b"", text_of=b"", payload=b"", sender=b"", chain=b"", store=0, status=0):
    return struct.pack("<BBBBiQQQqQIIIIIIII", kind, store, 0, 0, status, number_of, 7, 0, 0, 0, 0, len(key), len(text_of),
                       len(payload), 0, len(sender), len(chain) // 8, 0) + key + text_of + payload + sender + chain


def channels():
    """Rings: how many calls the silo made, by how much the index is off, records. Numbers of calls begin with 1 << 32."""
    first = 1 << 32
    call = flat(1, 5, key=b"k", payload=b"hello", sender=b"a/b\0", chain=b"12345678")
    seed("channel", "frames", b"\2\0" + record(1, call) + record(1, flat(6, 6, key=b"k", store=2, payload=b"x")) +
         record(1, flat(9, 0, key=b"k", text_of=b"a line")) + record(1, flat(4, 5)))
    seed("channel", "replies", b"\2\0" + record(1, flat(3, first, text_of=b"no", status=-1003)) +
         record(1, flat(3, first + 1, payload=b"yes")))
    seed("channel", "reply_twice", b"\1\0" + record(1, flat(3, first)) * 2)
    seed("channel", "too_many", b"\0\0" + record(1, call) * 6)
    large = flat(11, 0, payload=b"p" * 20000)
    seed("channel", "pieces", b"\0\0" + record(2, large[:8080]) + record(1, call) + record(3, large[8080:16000]) +
         record(3, large[16000:]))
    seed("channel", "pieces_mixed", b"\0\0" + record(2, large[:8080]) + record(2, large[:8080]))
    seed("channel", "piece_too_long", b"\0\0" + record(2, large[:8080]) + record(3, b"p" * 16000))
    seed("channel", "index_off", b"\0\x08" + record(1, call))
    seed("channel", "index_behind", b"\0\xf8" + record(1, call))
    seed("channel", "lengths", b"\0\0" + record(1, call + b"more"))


def manifests():
    """What the process of a plugin called "fuzz" says."""
    def method(name, number_of):
        return text(10, text(1, name) + number(2, number_of) + text(3, "f.In") + text(4, "f.Out") + number(6, 500))

    kind = text(1, "counter") + text(2, "f.Counter") + text(3, "f.State") + text(4, "sqlite") + number(8, 100)
    begin = text(1, "fuzz") + text(2, "1.0")
    seed("manifest", "plain", begin + text(3, kind + method("Add", 5) + method("Get", 9)) + text(4, b"\n\0"))
    seed("manifest", "empty", begin)
    seed("manifest", "other_name", text(1, "fuzzy") + text(2, "1.0"))
    seed("manifest", "type_twice", begin + text(3, kind) * 2)
    seed("manifest", "disorder", begin + text(3, kind + method("Add", 9) + method("Get", 5)))
    seed("manifest", "no_reply", begin + text(3, kind + text(10, text(1, "Add") + number(2, 5) + text(3, "f.In"))))
    seed("manifest", "control", begin + text(3, text(1, "a\x1b[2J") + text(2, "f.A")))


envelopes()
messages()
channels()
manifests()
frames()
jsons()
for name, data in CONFIGS.items():
    seed("config", name, data)
protos()
