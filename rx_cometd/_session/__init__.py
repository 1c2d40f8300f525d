"""The session: owns time, tasks and sockets, and drives the protocol."""
