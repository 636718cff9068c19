"""What every script here begins with: stubs, a channel, people's keys, and refusals as a client sees them.

    python SCRIPT.py SOCKET STUBS PEOPLE

SOCKET is the daemon's Unix socket, STUBS the directory of the code generated from the .proto files, PEOPLE the directory of
the fixtures. Nothing here knows anything of Chancery that the .proto files do not say.
"""

import hashlib
import pathlib
import sys

_, SOCKET, STUBS, PEOPLE = sys.argv
sys.path.insert(0, STUBS)

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# Left alone, grpcio names the socket's path as the authority, percent-encoded, which is none in the sense of RFC 3986, and an
# HTTP/2 server that looks at it answers PROTOCOL_ERROR.
AUTHORITY = ("grpc.default_authority", "localhost")
CHANNEL = grpc.insecure_channel(f"unix:{SOCKET}", options=[AUTHORITY])
# One request at a time is far below a second; this is for machines that do much else.
DEADLINE = 30


def public_key(pair):
    """The public key in a person's certificate."""
    pem = pathlib.Path(PEOPLE, f"{pair}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_key()


def key_name(pair):
    """`keys/{sha256}` of a person's key pair, made from nothing but the certificate."""
    spki = public_key(pair).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "keys/" + hashlib.sha256(spki).hexdigest()


def stream(request_type, options, message, piece=1000):
    """The requests of a MailService call: options first, then the message in pieces."""
    yield request_type(options=options)
    for start in range(0, len(message), piece):
        yield request_type(content=message[start : start + piece])


def gather(responses):
    """The content and the report of a MailService call."""
    content, report = b"", None
    for response in responses:
        assert report is None, "the report is in the last response"
        content += response.content
        if response.HasField("report"):
            assert not response.content, "the last response has no content"
            report = response.report
    assert report is not None, "a call that succeeds has a report"
    return content, report


def refusal(call):
    """The code and the google.rpc.ErrorInfo of a call that must be refused."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as error:
        details = rpc_status.from_call(error).details
        infos = [detail for detail in details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        assert len(infos) == 1, details
        info = error_details_pb2.ErrorInfo()
        infos[0].Unpack(info)
        assert info.domain == "chancery", info
        return error.code(), info
    raise AssertionError("the call was not refused")
