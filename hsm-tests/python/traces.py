"""A collector with OpenTelemetry's own stubs: it gets the trace of a signature that its caller has begun, and of one of many
that the daemon has.

The path of the socket to listen on is read from standard input.
"""

import concurrent.futures
import queue
import sys

from contract import CHANNEL, DEADLINE, key_name

import grpc
from chancery.v1 import algorithm_pb2, key_service_pb2, key_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RPC = "chancery.v1.KeyService/Sign"

spans = queue.SimpleQueue()


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        for resource in request.resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert told["service.name"] == "chanceryd", told
            assert told["service.version"], told
            for scope in resource.scope_spans:
                for span in scope.spans:
                    spans.put(span)
        return trace_service_pb2.ExportTraceServiceResponse()


def attributes(span):
    return {each.key: each.value for each in span.attributes}


def sign(name, **how):
    request = key_service_pb2.KeyServiceSignRequest(
        name=name,
        algorithm=algorithm_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256,
        digest=b"\x5a" * 32,
    )
    key_service_pb2_grpc.KeyServiceStub(CHANNEL).Sign(request, timeout=DEADLINE, **how)


def traced(trace_id):
    """The spans of a trace by name, once there are those of the request and of the token."""
    found = {}
    while not {RPC, "sign"} <= found.keys():
        span = spans.get(timeout=DEADLINE)
        assert "ecrypt" not in span.name, span
        if trace_id in (None, span.trace_id):
            trace_id = span.trace_id
            found[span.name] = span
    return found


server = grpc.server(concurrent.futures.ThreadPoolExecutor())
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
assert server.add_insecure_port(f"unix:{sys.stdin.read()}")
server.start()

# A decryption is not traced, whatever its caller says: how long one takes is for nobody to know exactly. What is told of it
# would come before what is told of the next request.
decrypt = key_service_pb2.KeyServiceDecryptRequest(
    name=key_name("alice-encrypt"),
    algorithm=algorithm_pb2.KEY_MANAGEMENT_ALGORITHM_RSA_PKCS1,
    ciphertext=b"\x00" + b"\x5a" * 255,
    plaintext_length=32,
)
key_service_pb2_grpc.KeyServiceStub(CHANNEL).Decrypt(
    decrypt, timeout=DEADLINE, metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")]
)

# Below the span of its caller.
sign(key_name("alice-sign"), metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
found = traced(bytes.fromhex(TRACE))
request, token = found[RPC], found["sign"]
assert request.parent_span_id == bytes.fromhex(PARENT), request
assert request.kind == trace_pb2.Span.SPAN_KIND_SERVER, request
assert attributes(request)["rpc.grpc.status_code"].int_value == 0, request
assert token.parent_span_id == request.span_id, token
assert attributes(token)["chancery.token"].string_value == "cards", token
assert "chancery.waited_us" in attributes(token), token
assert request.start_time_unix_nano <= token.start_time_unix_nano, found
assert token.end_time_unix_nano <= request.end_time_unix_nano, found

# One that is not to be traced, says its caller; then one whose caller says nothing.
sign(key_name("alice-sign"), metadata=[("traceparent", f"00-{'1' * 32}-{PARENT}-00")])
sign(key_name("alice-sign"))
found = traced(None)
assert found[RPC].trace_id not in (bytes.fromhex(TRACE), bytes.fromhex("1" * 32)), found
assert not found[RPC].parent_span_id, found
server.stop(None)
