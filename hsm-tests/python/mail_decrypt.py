"""MailService.Decrypt and Encrypt in streams: what OpenSSL encrypted comes on standard input; the letter goes out."""

import sys

from contract import CHANNEL, DEADLINE, gather, key_name, stream

from chancery.v1 import algorithm_pb2, mail_service_pb2, mail_service_pb2_grpc

SEALED = sys.stdin.buffer.read()

mail = mail_service_pb2_grpc.MailServiceStub(CHANNEL)


def decrypt(message):
    requests = stream(
        mail_service_pb2.MailServiceDecryptRequest, mail_service_pb2.DecryptOptions(), message
    )
    return gather(mail.Decrypt(requests, timeout=DEADLINE))


letter, report = decrypt(SEALED)
layer = report.layers[0].encrypted
assert layer.authenticated, report
assert layer.content_encryption == algorithm_pb2.CONTENT_ENCRYPTION_ALGORITHM_AES256_GCM, report
assert layer.key == key_name("carol-encrypt"), report
assert layer.key_management == algorithm_pb2.KEY_MANAGEMENT_ALGORITHM_ECDH, report

options = mail_service_pb2.EncryptOptions(
    recipient_identities=["identities/carol@example.org"],
    content_encryption=algorithm_pb2.CONTENT_ENCRYPTION_ALGORITHM_AES128_CBC,
)
sealed, report = gather(
    mail.Encrypt(stream(mail_service_pb2.EncryptRequest, options, letter), timeout=DEADLINE)
)
assert len(report.recipients) == 1, report
again, report = decrypt(sealed)
assert not report.layers[0].encrypted.authenticated, report
assert again == letter, again

sys.stdout.buffer.write(letter)
