"""How one Python value becomes content-addressed bytes and comes back.

Knows types and digests; does not know where the bytes lie (that is `store`). The digest is over
the logical content, never over a pickle.
"""
