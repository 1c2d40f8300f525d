"""CometD channels as ReactiveX observables."""

__version__ = "0.1.0"
