"""Calls that bring a PIN and overlap, so that their channel never rests: each is answered, and the connection is ended meanwhile.

Standard input has the PIN.
"""

import collections
import sys

import grpc
from contract import CHANNEL, DEADLINE, key_name

from chancery.v1 import algorithm_pb2, key_service_pb2, key_service_pb2_grpc

CALLS, AT_ONCE = 400, 8
# A connection takes no further calls after so many that are kept; some more are on their way.
CONNECTIONS = 3

seen = []
note = seen.append
CHANNEL.subscribe(note, try_to_connect=True)
keys = key_service_pb2_grpc.KeyServiceStub(CHANNEL)
sign = key_service_pb2.KeyServiceSignRequest(
    name=key_name("alice-sign"),
    algorithm=algorithm_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256,
    digest=bytes(32),
    pin=sys.stdin.buffer.read(),
)
try:
    running = collections.deque()
    for _ in range(CALLS):
        if len(running) == AT_ONCE:
            running.popleft().result()
        running.append(keys.Sign.future(sign, timeout=DEADLINE))
    for call in running:
        call.result()
finally:
    # What is subscribed to keeps Python from its end.
    CHANNEL.unsubscribe(note)
    CHANNEL.close()
connected = seen.count(grpc.ChannelConnectivity.READY)
assert connected >= CONNECTIONS, f"{CALLS} calls over {connected} connections"
