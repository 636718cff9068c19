"""TokenService.WatchTokens: every token first, then each change, until the caller has seen enough."""

from contract import CHANNEL, DEADLINE

from chancery.v1 import token_service_pb2, token_service_pb2_grpc

tokens = token_service_pb2_grpc.TokenServiceStub(CHANNEL)

responses = tokens.WatchTokens(token_service_pb2.WatchTokensRequest(), timeout=DEADLINE)
first = next(responses)
assert first.daemon_version, first
listed = tokens.ListTokens(token_service_pb2.ListTokensRequest(), timeout=DEADLINE).tokens
assert [token.name for token in first.tokens] == [token.name for token in listed] == ["tokens/cards"], first
assert first.tokens[0].state == token_service_pb2.TOKEN_STATE_READY, first

tokens.LockToken(token_service_pb2.LockTokenRequest(name="tokens/cards"), timeout=DEADLINE)
for response in responses:
    (token,) = response.tokens
    assert token.name == "tokens/cards", response
    if token.state == token_service_pb2.TOKEN_STATE_LOCKED:
        break
else:
    raise AssertionError("the stream ended before the token was seen locked")
responses.cancel()
