"""KeyService.Decrypt and Agree: `cryptography` encrypts and agrees on the other side."""

from contract import CHANNEL, DEADLINE, key_name, public_key

from chancery.v1 import algorithm_pb2, key_service_pb2, key_service_pb2_grpc
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

SECRET = bytes(range(32))

keys = key_service_pb2_grpc.KeyServiceStub(CHANNEL)


def decrypt(pair, ciphertext, algorithm, **parameters):
    request = key_service_pb2.KeyServiceDecryptRequest(
        name=key_name(pair),
        algorithm=algorithm_pb2.KeyManagementAlgorithm.Value(f"KEY_MANAGEMENT_ALGORITHM_{algorithm}"),
        ciphertext=ciphertext,
        **parameters,
    )
    return keys.Decrypt(request, timeout=DEADLINE).plaintext


def agree(pair, peer_public_key, **parameters):
    request = key_service_pb2.AgreeRequest(
        name=key_name(pair), peer_public_key=peer_public_key, **parameters
    )
    return keys.Agree(request, timeout=DEADLINE).secret


for pair in ["alice-encrypt", "bob-encrypt", "frank-both"]:
    public = public_key(pair)
    ciphertext = public.encrypt(SECRET, padding.PKCS1v15())
    assert decrypt(pair, ciphertext, "RSA_PKCS1", plaintext_length=32) == SECRET, pair
    # A failure of the padding cannot be told from a success: bytes of that length, the same each time, but not the secret.
    # The last bit is the wrong one: with the first, the number may be greater than the modulus, which anybody can tell.
    wrong = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    first = decrypt(pair, wrong, "RSA_PKCS1", plaintext_length=32)
    assert len(first) == 32 and first != SECRET, pair
    assert decrypt(pair, wrong, "RSA_PKCS1", plaintext_length=32) == first, pair
    for name, digest in [
        ("SHA1", hashes.SHA1()),
        ("SHA256", hashes.SHA256()),
        ("SHA384", hashes.SHA384()),
        ("SHA512", hashes.SHA512()),
    ]:
        for label in [None, b"chancery"]:
            oaep = padding.OAEP(padding.MGF1(digest), digest, label)
            parameters = key_service_pb2.OaepParameters(
                digest=algorithm_pb2.DigestAlgorithm.Value(f"DIGEST_ALGORITHM_{name}"),
                label=label,
            )
            plaintext = decrypt(pair, public.encrypt(SECRET, oaep), "RSA_OAEP", oaep=parameters)
            assert plaintext == SECRET, (pair, name, label)

for pair in ["carol-encrypt", "dave-encrypt", "grace-encrypt"]:
    public = public_key(pair)
    ephemeral = ec.generate_private_key(public.curve)
    point = ephemeral.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    secret = ephemeral.exchange(ec.ECDH(), public)
    assert agree(pair, point) == secret, pair
    derived = X963KDF(hashes.SHA256(), 32, b"info").derive(secret)
    kdf = key_service_pb2.X963Kdf(
        digest=algorithm_pb2.DIGEST_ALGORITHM_SHA256, shared_info=b"info", length=32
    )
    assert agree(pair, point, x963_kdf=kdf) == derived, pair

ephemeral = x25519.X25519PrivateKey.generate()
point = ephemeral.public_key().public_bytes_raw()
assert agree("erin-encrypt", point) == ephemeral.exchange(public_key("erin-encrypt"))
