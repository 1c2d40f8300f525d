"""Conformance: the same scenarios against every server, over every transport that it has.

The scenarios are those of the reference implementations' own tests; each names the number that
it has in the project's list of them. How servers differ is data, in `differences`.
"""
