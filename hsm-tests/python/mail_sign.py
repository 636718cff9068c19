"""MailService.Sign and Verify in streams; the signed message is written to standard output for OpenSSL."""

import sys

from contract import CHANNEL, DEADLINE, gather, key_name, stream

from chancery.v1 import algorithm_pb2, mail_service_pb2, mail_service_pb2_grpc, report_pb2

LETTER = sys.stdin.buffer.read()

mail = mail_service_pb2_grpc.MailServiceStub(CHANNEL)

options = mail_service_pb2.SignOptions(form=mail_service_pb2.SIGNED_FORM_CLEAR)
requests = stream(mail_service_pb2.MailServiceSignRequest, options, LETTER)
signed, report = gather(mail.Sign(requests, timeout=DEADLINE))
assert report.identity == "identities/alice@example.org", report
assert report.key == key_name("alice-sign"), report
assert report.signature_algorithm == algorithm_pb2.SIGNATURE_ALGORITHM_RSA_PKCS1_SHA256, report

requests = stream(
    mail_service_pb2.VerifyRequest, mail_service_pb2.VerifyOptions(return_content=True), signed
)
content, report = gather(mail.Verify(requests, timeout=DEADLINE))
layer = report.layers[0].signed
assert layer.valid, report
assert layer.signers[0].addresses == ["alice@example.org"], report
assert layer.signers[0].trust.result == report_pb2.CHECK_RESULT_NOT_EVALUATED, report
assert content == LETTER, content

changed = signed.replace(b"drawer", b"garden")
requests = stream(mail_service_pb2.VerifyRequest, mail_service_pb2.VerifyOptions(), changed)
content, report = gather(mail.Verify(requests, timeout=DEADLINE))
assert not content, "no content was asked for"
assert not report.layers[0].signed.valid, report

sys.stdout.buffer.write(signed)
