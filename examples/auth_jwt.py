"""Tokens that expire: renewed ahead of time, and once more when the server revokes them."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from rx_cometd import Client, ConnectionType
from rx_cometd.extensions import bearer_auth
from rx_cometd.testing import BayeuxServer, BearerAuthentication

SHORT, LONG = 0.5, 3600.0  # seconds that a token lives; an hour, most often

_SECRET = secrets.token_bytes()


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def signature(text: str) -> str:
    return encode(hmac.digest(_SECRET, text.encode(), hashlib.sha256))


def issue_jwt(user: str, lifetime: float) -> str:
    """Make a JSON Web Token (RFC 7519), as an identity provider does."""
    header = encode(b'{"alg":"HS256","typ":"JWT"}')
    claims: dict[str, Any] = {
        "sub": user,
        "exp": time.time() + lifetime,
        "jti": secrets.token_hex(4),
    }
    text = f"{header}.{encode(json.dumps(claims).encode())}"
    return f"{text}.{signature(text)}"


def is_valid(token: str) -> bool:
    """Check a token, as the server does."""
    text, _, signed = token.rpartition(".")
    if not hmac.compare_digest(signed, signature(text)):
        return False
    claims = text.split(".")[1]
    expiry: float = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    return time.time() < expiry


class Provider:
    """Issues tokens of some lifetime, and keeps count."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self.issued: list[str] = []

    async def fetch_token(self) -> tuple[str, float]:
        """Ask for a token: an HTTP request to your identity provider, say."""
        await asyncio.sleep(0.01)
        self.issued.append(issue_jwt("alice", self._lifetime))
        return self.issued[-1], self._lifetime

    def client(self, url: str) -> Client:
        """Make a client that has its tokens from here."""
        # Every request of long-polling carries the header; a WebSocket has it in its upgrade.
        return Client(url, ConnectionType.LONG_POLLING, auth=bearer_auth(self.fetch_token))


async def main() -> None:
    policy = BearerAuthentication(validator=is_valid)
    async with BayeuxServer(authentication=policy) as server:
        provider = Provider(SHORT)
        async with provider.client(server.url) as client:
            begin = time.monotonic()
            while time.monotonic() - begin < 3 * SHORT:
                await client.publish("/orders", {"buy": 1})
                await asyncio.sleep(0.05)
        print("the tokens of", 3 * SHORT, "seconds:", len(provider.issued))

        # Revoked: a hundred publishes fail at once, one new token is fetched, all go again.
        provider = Provider(LONG)
        async with provider.client(server.url) as client:
            policy.tokens.expire(provider.issued[-1])
            replies = await asyncio.gather(*(client.publish("/orders", n) for n in range(100)))
        accepted = sum(reply.get("successful", False) for reply in replies)
        print(accepted, "publishes with a revoked token,")
        print("new tokens:", len(provider.issued) - 1)


if __name__ == "__main__":
    asyncio.run(main())
