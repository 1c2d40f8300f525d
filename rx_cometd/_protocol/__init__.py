"""The Bayeux protocol, client side, pure: no asyncio, no clock, no Rx."""
