#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares our JSON form of messages with that of Google's Python implementation, on random messages from a seed.

usage: compare.py CONVERT SCHEMA DIRECTORY_OF_every_pb2 [SEED [COUNT]]
"""
import json
import math
import random
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[3])
import every_pb2  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from google.protobuf.descriptor import FieldDescriptor as F  # noqa: E402

seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
count = int(sys.argv[5]) if len(sys.argv) > 5 else 300
rng = random.Random(seed)
tool = subprocess.Popen([sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        encoding='utf-8')


def ask(verb, name, text):
    tool.stdin.write(f'{verb} {name} {text}\n')
    tool.stdin.flush()
    line = tool.stdout.readline()
    if not line:
        sys.exit(f'seed {seed}: the converter died at: {verb} {name} {text[:2000]}')
    word, _, rest = line.rstrip('\n').partition(' ')
    return word == 'ok', rest


def integer(bits, signed):
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    return rng.choice([0, 1, low, high, rng.randint(low, high), rng.randint(max(low, -9), 99)])


def real(is_float):
    value = rng.choice([1.0, -1.5, 1e10, 0.1, math.inf, -math.inf, math.nan, rng.random(), rng.gauss(0, 1e20),
                        struct.unpack('<d', struct.pack('<Q', rng.getrandbits(64)))[0]])
    if not is_float:
        return value
    if math.isfinite(value) and (abs(value) > 3e38 or 0 < abs(value) < 1e-30):
        return 2.5
    return struct.unpack('<f', struct.pack('<f', value))[0]


def text():
    alphabet = 'abcXYZ019 _-"\\/\n\t\x01\x7f\x85é߀文😀\u2028<>&'
    return ''.join(rng.choice(alphabet) for _ in range(rng.randint(0, 12)))


def scalar(field):
    kind = field.type
    if kind == F.TYPE_DOUBLE or kind == F.TYPE_FLOAT:
        return real(kind == F.TYPE_FLOAT)
    if kind in (F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32):
        return integer(32, True)
    if kind in (F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64):
        return integer(64, True)
    if kind in (F.TYPE_UINT32, F.TYPE_FIXED32):
        return integer(32, False)
    if kind in (F.TYPE_UINT64, F.TYPE_FIXED64):
        return integer(64, False)
    if kind == F.TYPE_BOOL:
        return rng.random() < 0.5
    if kind == F.TYPE_STRING:
        return text()
    if kind == F.TYPE_BYTES:
        return rng.randbytes(rng.randint(0, 9))
    if field.enum_type.full_name == 'google.protobuf.NullValue':
        return 0
    return rng.choice([0, 1, 7, -3, 5])


def fill_value(value, depth):
    kind = rng.randint(0, 5 if depth < 3 else 3)
    if kind == 0:
        value.null_value = 0
    elif kind == 1:
        value.number_value = rng.choice([0.0, 1.0, -2.5, 1e100, rng.random()])
    elif kind == 2:
        value.string_value = text()
    elif kind == 3:
        value.bool_value = rng.random() < 0.5
    elif kind == 4:
        fill(value.struct_value, depth + 1)
    else:
        fill(value.list_value, depth + 1)


def fill_known(message, name, depth):
    if name == 'Timestamp':
        message.seconds = rng.choice([0, -62135596800, 253402300799, rng.randint(-62135596800, 253402300799)])
        message.nanos = rng.choice([0, 1, 999999999, 500000000, 123000, rng.randint(0, 999999999)])
    elif name == 'Duration':
        sign = rng.choice([-1, 1])
        message.seconds = sign * rng.choice([0, 1, 315576000000, rng.randint(0, 315575999999)])
        message.nanos = sign * rng.choice([0, 1, 999999999, 500000000, 123000, rng.randint(0, 999999999)])
    elif name == 'Struct':
        message.SetInParent()
        for _ in range(rng.randint(0, 3)):
            fill_value(message.fields[text()], depth)
    elif name == 'ListValue':
        message.SetInParent()
        for _ in range(rng.randint(0, 3)):
            fill_value(message.values.add(), depth)
    elif name == 'Value':
        fill_value(message, depth)
    elif name == 'FieldMask':
        message.SetInParent()
        for _ in range(rng.randint(0, 3)):
            message.paths.append(rng.choice(['foo', 'foo_bar', 'a.b_c', 'x_y_z.q']))
    elif name == 'Any':
        inner = rng.choice([every_pb2.Inner, every_pb2.Choice, every_pb2.Scalars])()
        fill(inner, depth + 1)
        if rng.random() < 0.3:
            inner = every_pb2.google_dot_protobuf_dot_duration__pb2.Duration(seconds=3, nanos=5)
        message.Pack(inner)
    elif name == 'Empty':
        message.SetInParent()
    else:
        message.value = scalar(message.DESCRIPTOR.fields_by_name['value'])
        message.SetInParent()


def fill(message, depth=0):
    if message.DESCRIPTOR.full_name.startswith('google.protobuf.'):
        fill_known(message, message.DESCRIPTOR.name, depth)
        return
    for field in message.DESCRIPTOR.fields:
        if rng.random() < (0.4 if depth < 3 else 0.85):
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[n] for n in ('key', 'value'))
            for _ in range(rng.randint(0, 3)):
                if value.message_type:
                    fill(getattr(message, field.name)[scalar(key)], depth + 1)
                else:
                    getattr(message, field.name)[scalar(key)] = scalar(value)
        elif field.label == F.LABEL_REPEATED:
            for _ in range(rng.randint(0, 3)):
                if field.message_type:
                    if depth > 3:
                        break
                    fill(getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(scalar(field))
        elif field.message_type:
            if depth > 5:
                continue
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, scalar(field))


def same(a, b):
    """Equal but for NaN, which differs from itself: compare the deterministic bytes."""
    return a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True)


def check(condition, what, *details):
    if not condition:
        print(f'seed {seed}: {what}')
        for detail in details:
            print(f'  {str(detail)[:3000]}')
        sys.exit(1)


def compare_random():
    kinds = [every_pb2.Scalars, every_pb2.Lists, every_pb2.Maps, every_pb2.Choice, every_pb2.Presence,
             every_pb2.Known, every_pb2.All]
    for n in range(count):
        kind = kinds[n % len(kinds)]
        message = kind()
        fill(message)
        name = message.DESCRIPTOR.full_name
        theirs = json_format.MessageToJson(message, indent=None)
        ok, ours = ask('print', name, message.SerializeToString().hex())
        check(ok, f'{name} is not printed', ours, theirs)
        # -0.0 is zero to protobuf-c, so it is left out.
        check(json.loads(ours) == json.loads(theirs), f'{name} is printed differently', ours, theirs)
        check(same(json_format.Parse(ours, kind()), message), f'{name} is not read back by them', ours)
        for source in (theirs, ours, json_format.MessageToJson(message, indent=None, preserving_proto_field_name=True),
                       json_format.MessageToJson(message, indent=None, including_default_value_fields=True)):
            ok, packed = ask('parse', name, source)
            check(ok, f'{name} is not parsed', packed, source)
            back = kind()
            back.ParseFromString(bytes.fromhex(packed))
            check(same(back, json_format.Parse(source, kind())), f'{name} is parsed differently', source)


TEXTS = [
    ('Scalars', text) for text in (
        '{}', '[]', 'null', '1', '', '{"anInt32": 1}', '{"an_int32": 1}', '{"anInt32": "1"}', '{"anInt32": 1.0}',
        '{"anInt32": 1.5}', '{"anInt32": 1e3}', '{"anInt32": 2147483647}', '{"anInt32": 2147483648}',
        '{"anInt32": -2147483648}', '{"anInt32": -2147483649}', '{"anInt32": true}', '{"anInt32": null}',
        '{"anInt32": "x"}', '{"anInt32": {}}', '{"aUint32": -1}', '{"aUint32": 4294967295}', '{"aUint32": 4294967296}',
        '{"aUint64": "18446744073709551615"}', '{"aUint64": 18446744073709551615}',
        '{"aUint64": "18446744073709551616"}', '{"anInt64": "-9223372036854775808"}',
        '{"anInt64": "9223372036854775808"}', '{"aDouble": "NaN"}', '{"aDouble": "Infinity"}',
        '{"aDouble": "-Infinity"}', '{"aDouble": "1.5"}', '{"aDouble": "x"}', '{"aDouble": true}',
        '{"aFloat": 3.4e38}', '{"aFloat": 1e39}', '{"aBool": true}', '{"aBool": "true"}', '{"aBool": 1}',
        '{"aString": 1}', '{"aString": "\\u00e9\\ud83d\\ude00"}', '{"someBytes": "AQI="}', '{"someBytes": "-_8="}',
        '{"someBytes": "+/8="}', '{"someBytes": 1}', '{"color": "GREEN"}', '{"color": 7}', '{"color": "AZURE"}',
        '{"color": 99}', '{"color": "PINK"}', '{"color": true}', '{"inner": {}}', '{"inner": null}', '{"inner": []}',
        '{"inner": {"value": 3, "inner": {"words": ["a", "b"]}}}', '{"nothing": 1}', '{"other name": "x"}',
        '{"renamed": "x"}', '{"anInt32": 1, "anInt32": 2}', '{"anInt32": 1, "an_int32": 2}', '{"anInt32": 1,}',
        '{"anInt32": 01}', "{'anInt32': 1}")
] + [
    ('Lists', text) for text in (
        '{"int32s": [1, "2", 3.0]}', '{"int32s": [null]}', '{"int32s": 1}', '{"int32s": null}', '{"int32s": []}',
        '{"inners": [{}, {"value": 1}]}', '{"inners": [null]}', '{"strings": [["a"]]}', '{"bools": [true, 0]}')
] + [
    ('Maps', text) for text in (
        '{"words": {"a": "b"}}', '{"words": {"a": null}}', '{"words": []}', '{"words": null}',
        '{"words": {"a": "1", "a": "2"}}', '{"inners": {"1": {"value": 2}}}', '{"inners": {"x": {}}}',
        '{"inners": {"1": null}}', '{"bools": {"true": 1, "false": "2"}}', '{"bools": {"yes": 1}}',
        '{"colors": {"18446744073709551615": "BLUE"}}', '{"sints": {"-5": "-6"}}')
] + [
    ('Choice', text) for text in (
        '{"number": 0}', '{"text": ""}', '{"number": 1, "text": "x"}', '{"number": null, "text": "x"}',
        '{"nothing": null}', '{"nothing": "NULL_VALUE"}', '{"yes": true, "nothing": null}', '{"inner": {}}')
] + [
    ('Presence', text) for text in (
        '{"number": 0, "text": "", "blob": "", "color": "RED", "flag": false, "real": 0}', '{"number": null}')
] + [
    ('Known', text) for text in (
        '{"time": "1970-01-01T00:00:00Z"}', '{"time": "2024-02-29T12:30:00.5+01:30"}', '{"time": "2023-02-29T00:00:00Z"}',
        '{"time": "0001-01-01T00:00:00Z"}', '{"time": "9999-12-31T23:59:59.999999999Z"}',
        '{"time": "1970-01-01T00:00:00"}', '{"time": "1970-01-01"}', '{"time": 1}', '{"time": null}',
        '{"duration": "1s"}', '{"duration": "-1.5s"}', '{"duration": "0.000000001s"}', '{"duration": "1"}',
        '{"duration": "315576000001s"}', '{"duration": "1.0000000001s"}', '{"int64Value": "5"}', '{"int64Value": null}',
        '{"boolValue": false}', '{"stringValue": ""}', '{"bytesValue": "AA=="}', '{"empty": {}}', '{"empty": {"a": 1}}',
        '{"fields": {"a": [1, {"b": null}], "c": "d"}}', '{"value": null}', '{"value": [1, "a", null, {}]}',
        '{"list": [1, [2], {"a": true}]}', '{"list": {}}', '{"mask": "fooBar,a.bC"}', '{"mask": ""}', '{"mask": "a,"}', '{"mask": ",,b"}',
        '{"mask": "foo_bar"}', '{"any": {"@type": "type.googleapis.com/quark.every.Inner", "value": 4}}',
        '{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}}',
        '{"any": {"@type": "type.googleapis.com/no.Such", "value": 4}}', '{"any": {"value": 4}}',
        '{"times": ["1970-01-01T00:00:00Z"]}', '{"values": {"a": null, "b": 1}}')
]

# Where we are stricter: what they take although the rules do not have it.
STRICTER = {
    ('Scalars', '[]'),
    ('Scalars', '{"aDouble": true}'),
    ('Scalars', '{"color": true}'),
    ('Scalars', '{"inner": []}'),
    ('Scalars', '{"anInt32": 1, "an_int32": 2}'),  # one field by both its names
    ('Choice', '{"yes": true, "nothing": null}'),  # null is a value here, so the oneof has two
    ('Known', '{"duration": "1.0000000001s"}'),  # less than a nanosecond
}


def compare_texts():
    for name, source in TEXTS:
        kind = getattr(every_pb2, name)
        try:
            expected = json_format.Parse(source, kind())
        except Exception:  # it lets other errors out than its own
            expected = None
        if (name, source) in STRICTER:
            expected = None
        ok, packed = ask('parse', f'quark.every.{name}', source)
        check(ok == (expected is not None), f'{name}: we {"take" if ok else "refuse"} it, they do not', source, packed)
        if ok:
            back = kind()
            back.ParseFromString(bytes.fromhex(packed))
            check(same(back, expected), f'{name} is parsed differently', source, packed)


compare_texts()
compare_random()
tool.stdin.close()
check(tool.wait() == 0, 'the converter failed')
print(f'{len(TEXTS)} texts and {count} random messages of seed {seed} agree')
