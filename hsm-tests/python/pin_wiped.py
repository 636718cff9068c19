"""Messages with PINs are not left in the daemon's memory, though the channel that brought them is kept.

What is looked for is the PIN with what stands before it in the message. Standard input has the daemon's process id and the PIN. Only root can look.
"""

import sys
import time

import grpc
from contract import CHANNEL, DEADLINE, key_name

from chancery.v1 import (
    algorithm_pb2,
    key_service_pb2,
    key_service_pb2_grpc,
    mail_service_pb2,
    mail_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
)

pid, pin = sys.stdin.buffer.read().split()
tokens = token_service_pb2_grpc.TokenServiceStub(CHANNEL)
keys = key_service_pb2_grpc.KeyServiceStub(CHANNEL)
mail = mail_service_pb2_grpc.MailServiceStub(CHANNEL)


def copies(octets):
    """How often these stand in the memory that the daemon can write to."""
    found = 0
    with open(f"/proc/{int(pid)}/maps") as maps, open(f"/proc/{int(pid)}/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            start, end = (int(address, 16) for address in place.split("-"))
            try:
                memory.seek(start)
                found += memory.read(end - start).count(octets)
            except (OSError, ValueError, OverflowError):
                continue
    return found


def wait_until_none(message):
    name, octets = type(message).__name__, message.SerializeToString()
    place = octets.index(pin)
    end = time.monotonic() + DEADLINE
    while (left := copies(octets[place - 2 : place + len(pin)])) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == 0, f"{left} copies of the PIN in {name}"


unlock = token_service_pb2.UnlockTokenRequest(name="tokens/cards", pin=pin)
lock = token_service_pb2.LockTokenRequest(name="tokens/cards")
for _ in range(3):
    tokens.UnlockToken(unlock, timeout=DEADLINE)
assert copies(pin) > 0, "while it is unlocked, the daemon keeps the PIN: is this the right process?"
tokens.LockToken(lock, timeout=DEADLINE)
wait_until_none(unlock)

tokens.UnlockToken(unlock, timeout=DEADLINE)
sign = key_service_pb2.KeyServiceSignRequest(
    name=key_name("alice-sign"),
    algorithm=algorithm_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256,
    digest=bytes(32),
    pin=pin,
)
keys.Sign(sign, timeout=DEADLINE)
tokens.LockToken(lock, timeout=DEADLINE)
wait_until_none(sign)

tokens.UnlockToken(unlock, timeout=DEADLINE)
options = mail_service_pb2.SignOptions(identity="identities/alice@example.org", pin=pin)
pieces = [mail_service_pb2.MailServiceSignRequest(options=options)]
pieces += [mail_service_pb2.MailServiceSignRequest(content=b"From: alice@example.org\r\n\r\nHello\r\n")]
for _ in mail.Sign(iter(pieces), timeout=DEADLINE):
    pass
tokens.LockToken(lock, timeout=DEADLINE)
wait_until_none(options)

change = token_service_pb2.ChangePinRequest(name="tokens/cards", old_pin=b"111111", new_pin=pin)
try:
    tokens.ChangePin(change, timeout=DEADLINE)
except grpc.RpcError:
    pass
wait_until_none(change)
