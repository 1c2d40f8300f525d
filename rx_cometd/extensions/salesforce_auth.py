"""Logging in to Salesforce: OAuth 2.0 client credentials, or a JWT signed with a private key.

Sources: Salesforce's help, "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration" and
"OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration". Both are one POST to
``/services/oauth2/token``, whose answer has ``access_token`` and ``instance_url``, the host that
the organisation lives on at the moment.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from yarl import URL

from rx_cometd._flow.arguments import check_seconds
from rx_cometd._flow.extras import how_to_install
from rx_cometd.exceptions import AuthenticationError, TransportError
from rx_cometd.extension import AuthExtension, Operators
from rx_cometd.extensions.bearer_auth import BearerAuth, BearerToken
from rx_cometd.extensions.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SalesforceAuth", "salesforce_auth"]

_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Seconds that an assertion is good for; Salesforce takes up to three minutes.
_ASSERTION_LIFETIME: Final = 120


def salesforce_auth(
    login_url: str,
    client_id: str,
    *,
    client_secret: str | None = None,
    private_key: str | bytes | None = None,
    username: str | None = None,
    audience: str = "https://login.salesforce.com",
    lifetime: float | None = None,
    http_session: aiohttp.ClientSession | None = None,
) -> SalesforceAuth:
    """Make the extension that logs in to Salesforce, and again when the token is refused.

    Pass ``client_secret`` for the client credentials flow, or ``private_key`` and ``username``
    for the JWT bearer flow (``pip install 'rx-cometd[salesforce]'``).

    The client then uses the ``instance_url`` that the login returned, whatever host its own
    address has, and follows if a later login returns another one. However many requests of a
    client fail at once with an expired token, there is one login.

    Args:
        login_url: Where to log in: ``https://MyDomain.my.salesforce.com``; the client
            credentials flow takes no other host than the one of My Domain.
        client_id: The consumer key of the connected app.
        client_secret: Its consumer secret.
        private_key: The RSA key, as PEM, whose certificate the connected app has.
        username: The user to act for.
        audience: The ``aud`` of the JWT; ``https://test.salesforce.com`` for sandboxes.
        lifetime: For how many seconds a token is valid, to renew it before it expires. Salesforce
            does not return it; it is the session timeout of the organisation.
        http_session: For the logins, never closed by the extension; a new one for each if ``None``.

    Returns:
        The extension, for ``Client(auth=...)``.

    Raises:
        TypeError: Neither or both of the flows are given, or an argument is of the wrong kind.
        ValueError: ``login_url`` is not an absolute HTTP address, or ``lifetime`` not more than 0.
        ModuleNotFoundError: The JWT bearer flow needs PyJWT.

    Example:
        >>> salesforce_auth("https://example.my.salesforce.com", "3MVG9", client_secret="...")
        <SalesforceAuth https://example.my.salesforce.com>
    """
    address = origin_of("login_url", login_url)
    if lifetime is not None:
        check_seconds("lifetime", lifetime)
    if client_secret is not None and private_key is None and username is None:
        secret = client_secret

        def credentials() -> dict[str, str]:
            return {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": secret,
            }

    elif client_secret is None and private_key is not None and username is not None:
        claims = {"iss": client_id, "sub": username, "aud": audience}
        credentials = _assertions(private_key, claims)
    else:
        raise TypeError(
            "salesforce_auth needs client_secret (client credentials), or private_key and "
            "username (JWT bearer), and not both"
        )
    return SalesforceAuth(_Login(address, credentials, lifetime, http_session))


def _assertions(private_key: str | bytes, claims: dict[str, str]) -> Callable[[], dict[str, str]]:
    try:
        import jwt  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        text = f"the JWT bearer flow needs the package PyJWT: {how_to_install('salesforce')}"
        raise ModuleNotFoundError(text) from error

    def credentials() -> dict[str, str]:
        signed = jwt.encode(
            {**claims, "exp": int(time.time()) + _ASSERTION_LIFETIME}, private_key, "RS256"
        )
        return {"grant_type": _JWT_GRANT, "assertion": signed}

    return credentials


class SalesforceAuth(AuthExtension):
    """The extension that `salesforce_auth` makes."""

    def __init__(self, login: _Login) -> None:
        self._login = login
        self._bearer = BearerAuth(login.fetch)

    def __repr__(self) -> str:
        return f"<SalesforceAuth {self._login.address}>"

    @property
    def origin(self) -> URL | None:
        """The ``instance_url`` of the last login, ``None`` before the first."""
        return self._login.instance

    def operators(self) -> Operators:
        """Make the operators of one session."""
        return self._bearer.operators()

    async def authenticate(self) -> None:
        """Log in: the token was refused.

        Raises:
            AuthenticationError: Salesforce refused the login.
            TransportError: There was no answer, or none that makes sense.
        """
        await self._bearer.authenticate()


class _Login:
    """Asks the token endpoint.

    Attributes:
        address: Where the endpoint is.
        instance: The host that the last answer told.
    """

    def __init__(
        self,
        address: URL,
        credentials: Callable[[], dict[str, str]],
        lifetime: float | None,
        http_session: aiohttp.ClientSession | None,
    ) -> None:
        self.address = address
        self.instance: URL | None = None
        self._credentials = credentials
        self._lifetime = lifetime
        self._http_session = http_session

    async def fetch(self) -> BearerToken:
        """Log in, and give the token.

        No text or cause made here holds what was sent, or what was answered but for the error.
        """
        try:
            if self._http_session is not None:
                status, answer = await self._post(self._http_session)
            else:
                async with aiohttp.ClientSession() as http:
                    status, answer = await self._post(http)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TransportError(
                f"no login at {self.address}: {type(error).__name__}; "
                "is it the address of your My Domain?"
            ) from None
        if status != 200:
            code, reason = answer.get("error"), answer.get("error_description")
            raise AuthenticationError(
                f"Salesforce refused the login at {self.address} (HTTP {status}): {code}, {reason}"
            )
        token, instance = answer.get("access_token"), answer.get("instance_url")
        if not isinstance(token, str) or not isinstance(instance, str):
            raise TransportError(
                f"the answer to the login at {self.address} has no access_token or instance_url"
            )
        self.instance = self._checked(instance)
        return BearerToken(token, self._lifetime)

    async def _post(self, http: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
        async with http.post(
            self.address / "services/oauth2/token",
            data=self._credentials(),
            headers={"Accept": "application/json"},
            allow_redirects=False,
        ) as response:
            answer = await response.json(content_type=None)
            read = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
            return response.status, read

    def _checked(self, instance: str) -> URL:
        """Give the host that tokens will be sent to: never in the clear after a safe login."""
        origin = URL(instance).origin()
        if self.address.scheme == "https" and origin.scheme != "https":
            raise TransportError(f"the login at {self.address} told an instance without TLS")
        return origin
