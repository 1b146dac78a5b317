#!/usr/bin/env python3
"""A disk with a volatile write cache, as a drive has one: disk.py IMAGE SOCKET serves one machine over NBD.

What is written is kept in memory until the machine asks for a flush, which takes some milliseconds. When the machine is gone, so is the power: of each
sector of 4096 bytes, what it was at the last flush or any later version of it stays, by chance. SEED in the environment
makes the chance the same again.
"""
import os
import random
import socket
import struct
import sys
import time

SECTOR = 4096
READ, WRITE, DISCONNECT, FLUSH = range(4)
GO, ACK, INFO, UNSUPPORTED = 7, 1, 3, 2**31 + 1
HAS_FLAGS, SEND_FLUSH = 1, 4
INVALID = 22
FLUSH_SECONDS_MAX = 0.02


class Disk:
    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        # Sector number to its versions since the last flush.
        self.cache = {}

    def read(self, at, length):
        sectors = range(at // SECTOR, (at + length) // SECTOR)
        return b"".join(
            self.cache[n][-1] if n in self.cache else os.pread(self.file, SECTOR, n * SECTOR) for n in sectors
        )

    def write(self, at, data):
        for offset in range(0, len(data), SECTOR):
            self.cache.setdefault((at + offset) // SECTOR, []).append(data[offset : offset + SECTOR])

    def flush(self):
        for n, versions in self.cache.items():
            os.pwrite(self.file, versions[-1], n * SECTOR)
        self.cache.clear()

    def cut(self, chance):
        lost = 0
        for n, versions in self.cache.items():
            stays = chance.randrange(len(versions) + 1)
            lost += stays < len(versions)
            if stays:
                os.pwrite(self.file, versions[stays - 1], n * SECTOR)
        print(f"the power went with {len(self.cache)} sectors not flushed; {lost} of them lost", flush=True)


def receive(peer, length):
    data = bytearray()
    while len(data) < length:
        part = peer.recv(length - len(data))
        if not part:
            raise ConnectionError
        data += part
    return bytes(data)


def greet(peer, disk):
    """The fixed newstyle handshake of the NBD protocol."""
    peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    receive(peer, 4)
    while True:
        _, option, length = struct.unpack(">8sII", receive(peer, 16))
        receive(peer, length)
        reply = lambda kind, data=b"": peer.sendall(
            struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data
        )
        if option != GO:
            reply(UNSUPPORTED)
            continue
        reply(INFO, struct.pack(">HQH", 0, disk.size, HAS_FLAGS | SEND_FLUSH))
        reply(INFO, struct.pack(">HIII", 3, SECTOR, SECTOR, 1 << 20))
        reply(ACK)
        return


def serve(peer, disk, chance):
    greet(peer, disk)
    while True:
        _, _, kind, cookie, at, length = struct.unpack(">IHHQQI", receive(peer, 28))
        data, error = b"", 0
        if kind == READ:
            data = disk.read(at, length)
        elif kind == WRITE:
            disk.write(at, receive(peer, length))
        elif kind == FLUSH:
            time.sleep(chance.random() * FLUSH_SECONDS_MAX)
            disk.flush()
        elif kind == DISCONNECT:
            return
        else:
            error = INVALID
        peer.sendall(struct.pack(">IIQ", 0x67446698, error, cookie) + data)


def main():
    disk, (_, _, path) = Disk(sys.argv[1]), sys.argv
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    peer, _ = listener.accept()
    chance = random.Random(os.environ.get("SEED"))
    try:
        serve(peer, disk, chance)
    except ConnectionError:
        pass
    disk.cut(chance)


main()
