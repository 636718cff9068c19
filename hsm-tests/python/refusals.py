"""What is refused has a code and a google.rpc.ErrorInfo that a program can read."""

import hashlib

from contract import CHANNEL, DEADLINE, grpc, key_name, refusal, stream

from chancery.v1 import (
    algorithm_pb2,
    key_service_pb2,
    key_service_pb2_grpc,
    mail_service_pb2,
    mail_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
)

keys = key_service_pb2_grpc.KeyServiceStub(CHANNEL)
mail = mail_service_pb2_grpc.MailServiceStub(CHANNEL)
tokens = token_service_pb2_grpc.TokenServiceStub(CHANNEL)


def sign(name, digest):
    return keys.Sign(
        key_service_pb2.KeyServiceSignRequest(
            name=name,
            algorithm=algorithm_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256,
            digest=digest,
        ),
        timeout=DEADLINE,
    )


def decrypt(message):
    options = mail_service_pb2.DecryptOptions()
    requests = stream(mail_service_pb2.MailServiceDecryptRequest, options, message)
    return mail.Decrypt(requests, timeout=DEADLINE)


def expect(call, code, reason):
    actual, info = refusal(call)
    assert (actual, info.reason) == (code, reason), (actual, info)
    assert info.metadata["request_id"], info


DIGEST = hashlib.sha256(b"data").digest()

# The separation of signing and encryption, whatever the grants say.
expect(
    lambda: sign(key_name("alice-encrypt"), DIGEST),
    grpc.StatusCode.FAILED_PRECONDITION,
    "KEY_ROLE_MISMATCH",
)
# A key that no grant names and one that does not exist: the same answer.
for name in [key_name("bob-sign"), "keys/" + 64 * "0"]:
    expect(lambda: sign(name, DIGEST), grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED")
# Administration is not granted.
expect(
    lambda: tokens.LockToken(token_service_pb2.LockTokenRequest(name="tokens/cards"), timeout=DEADLINE),
    grpc.StatusCode.PERMISSION_DENIED,
    "NOT_PERMITTED",
)
code, info = refusal(lambda: sign(key_name("alice-sign"), DIGEST[:31]))
assert code == grpc.StatusCode.INVALID_ARGUMENT, (code, info)
expect(
    lambda: decrypt(b"Content-Type: application/pkcs7-mime\r\n\r\nAAAA\r\n"),
    grpc.StatusCode.INVALID_ARGUMENT,
    "MALFORMED_MESSAGE",
)
expect(
    lambda: decrypt(b"Content-Type: text/plain\r\n\r\nHello\r\n"),
    grpc.StatusCode.INVALID_ARGUMENT,
    "WRONG_MESSAGE_KIND",
)
# It still serves.
assert sign(key_name("alice-sign"), DIGEST).signature
