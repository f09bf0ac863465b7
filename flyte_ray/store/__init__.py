"""The record: blobs under one root URL, the book of each run, the cache index, the read side.

Knows bytes, tables and names in the store; does not know how a Python value becomes bytes (that is
`codec`). The rule of the floor: every object is written once, by put-if-absent.
"""
