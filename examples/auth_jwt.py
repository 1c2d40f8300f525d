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

LIFETIME = 0.5  # seconds; an hour, most often

_SECRET = secrets.token_bytes()


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def signature(text: str) -> str:
    return encode(hmac.digest(_SECRET, text.encode(), hashlib.sha256))


def issue_jwt(user: str) -> str:
    """Make a JSON Web Token (RFC 7519), as an identity provider does."""
    header = encode(b'{"alg":"HS256","typ":"JWT"}')
    claims: dict[str, Any] = {
        "sub": user,
        "exp": time.time() + LIFETIME,
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


async def main() -> None:
    issued: list[str] = []

    async def fetch_token() -> tuple[str, float]:
        """Ask for a token: an HTTP request to your identity provider, say."""
        await asyncio.sleep(0.01)
        issued.append(issue_jwt("alice"))
        return issued[-1], LIFETIME

    policy = BearerAuthentication(validator=is_valid)
    # Every request of long-polling carries the header; a WebSocket has it in its upgrade.
    kind = ConnectionType.LONG_POLLING
    async with (
        BayeuxServer(authentication=policy) as server,
        Client(server.url, kind, auth=bearer_auth(fetch_token)) as client,
    ):
        begin = time.monotonic()
        while time.monotonic() - begin < 3 * LIFETIME:
            await client.publish("/orders", {"buy": 1})
            await asyncio.sleep(0.05)
        print("the tokens of", 3 * LIFETIME, "seconds:", len(issued))

        # Revoked: a hundred publishes fail at once, one new token is fetched, all go again.
        before = len(issued)
        policy.tokens.expire(issued[-1])
        replies = await asyncio.gather(*(client.publish("/orders", n) for n in range(100)))
        print(
            sum(reply.get("successful", False) for reply in replies),
            "publishes with a revoked token,",
        )
        print("new tokens:", len(issued) - before)


if __name__ == "__main__":
    asyncio.run(main())
