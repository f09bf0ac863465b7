"""The record: blobs under one root URL, the book of each run, the cache index, the read side.

Knows bytes, tables and names in the store; does not know how a Python value becomes bytes (that is
`codec`). The rule of the floor: what is promised (claims, segments, endings, letters) is written
once, by put-if-absent. What is replaced can be made again, or says that something is gone:
heartbeats, tables of ended runs, marks, the note of a removed run, the fence in a damaged slot.
"""
