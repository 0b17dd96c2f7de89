"""Reads all entries of a Redis server as Django's cache does, and compares them with the objects of a directory.

    read_entries.py PORT DIRECTORY

Prints how many there are; exit code 1 with the key of the first that differs.
"""

import hashlib
import json
import pickle
import socket
import sys
from pathlib import Path

import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
PREFIX = "posthog:1:"


class Redis:
    """As much of the protocol as two commands need."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.reader = self.connection.makefile("rb")

    def ask(self, *words):
        words = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.connection.sendall(b"".join(parts))
        return self.answer()

    def answer(self):
        kind, number = (line := self.reader.readline())[:1], int(line[1:])
        if kind == b"*":
            return [self.answer() for _ in range(number)]
        if kind != b"$":
            raise SystemExit(f"Redis says {line!r}")
        return None if number < 0 else self.reader.read(number + 2)[:-2]


def text(value):
    """What Django's serializer and compressor make of stored bytes."""
    if value.startswith(MAGIC):
        # One frame with its size in the header, as Django's own are.
        size = zstandard.frame_content_size(value)
        value = zstandard.ZstdDecompressor().decompress(value)
        check(size == len(value), "frame without its size")
        check(len(value) > 512, "compressed although short")
    else:
        check(len(value) <= 512, "long and not compressed")
    check(value[:2] == b"\x80\x04", "not protocol 4")
    found = pickle.loads(value)
    check(isinstance(found, str) and pickle.dumps(found, 4) == value, "not the pickle of this string")
    return found


def check(holds, message):
    if not holds:
        raise SystemExit(message)


def main():
    redis, directory = Redis(int(sys.argv[1])), Path(sys.argv[2])
    keys = sorted(key.decode() for key in redis.ask("KEYS", PREFIX + "*"))
    etags = {key for key in keys if key.endswith(":etag")}
    sentinels = entries = 0
    for key in keys:
        if key in etags:
            continue
        stored = text(redis.ask("GET", key))
        path = directory / key.removeprefix(PREFIX)
        if stored == "__missing__":
            sentinels += 1
            check(f"{key}:etag" not in etags and not path.exists(), f"{key}: more than a sentinel")
            continue
        entries += 1
        check(json.dumps(json.loads(stored), sort_keys=True) == stored, f"{key}: not as json.dumps writes it")
        check(path.read_bytes() == stored.encode(), f"{key}: not the text of its object")
        if f"{key}:etag" in etags:
            expected = hashlib.sha256(stored.encode()).hexdigest()[:16]
            check(text(redis.ask("GET", f"{key}:etag")) == expected, f"{key}: not its ETag")
        else:
            check("/feature_flags/" not in key, f"{key}: no ETag")
    print(f"{entries} entries, {len(etags)} with an ETag, {sentinels} sentinels")


if __name__ == "__main__":
    main()
