"""The peers: whatever is measured, each in a process of its own.

A peer is a program that takes a `Task` as one JSON argument, does it, and prints one JSON object
as the last line of its standard output: the messages, and the seconds of wall clock and of CPU
time of its process that they took, or other figures where the kind of task says so.
"""
