"""The web console: a read side over the record, served by aiohttp.

Reads the catalog only; it keeps no state of its own and changes a run by letters alone.
"""
