"""KeyService.Sign with every kind of key; the signatures are verified with `cryptography`."""

import hashlib

from contract import CHANNEL, DEADLINE, key_name, public_key

from chancery.v1 import algorithm_pb2, key_service_pb2, key_service_pb2_grpc
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

DATA = b"The seal is in the drawer."
DIGESTS = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}

keys = key_service_pb2_grpc.KeyServiceStub(CHANNEL)


def sign(pair, algorithm, **what):
    request = key_service_pb2.KeyServiceSignRequest(
        name=key_name(pair),
        algorithm=algorithm_pb2.SignatureAlgorithm.Value(f"SIGNATURE_ALGORITHM_{algorithm}"),
        **what,
    )
    response = keys.Sign(request, timeout=DEADLINE)
    assert response.token == "tokens/cards", response
    return response.signature


def both_ways(pair, algorithm, name, verify):
    """Signs the data, and a digest of it; `verify` takes the signature."""
    verify(sign(pair, algorithm, data=DATA))
    verify(sign(pair, algorithm, digest=hashlib.new(name.lower(), DATA).digest()))


for name, digest in DIGESTS.items():
    for pair in ["alice-sign", "bob-sign", "frank-both"]:
        public = public_key(pair)
        both_ways(
            pair,
            f"RSA_PKCS1_{name}",
            name,
            lambda signature: public.verify(signature, DATA, padding.PKCS1v15(), digest),
        )
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        both_ways(
            pair,
            f"RSA_PSS_{name}",
            name,
            lambda signature: public.verify(signature, DATA, pss, digest),
        )
    for pair in ["carol-sign", "dave-sign", "grace-sign"]:
        public = public_key(pair)
        both_ways(
            pair,
            f"ECDSA_{name}",
            name,
            lambda signature: public.verify(signature, DATA, ec.ECDSA(digest)),
        )
        # DER ECDSA-Sig-Value, as the contract says.
        utils.decode_dss_signature(sign(pair, f"ECDSA_{name}", data=DATA))

public_key("erin-sign").verify(sign("erin-sign", "ED25519", data=DATA), DATA)

listed = keys.ListKeys(key_service_pb2.ListKeysRequest(), timeout=DEADLINE).keys
assert [key.name for key in listed] == sorted(key.name for key in listed), listed
assert key_name("alice-sign") in [key.name for key in listed], listed
