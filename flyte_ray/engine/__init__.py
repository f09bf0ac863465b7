"""The engine: it decides by the rules of `core`, remembers in the book, and hands out attempts.

Knows ports, not Ray: an executor in this process, Ray's, or one that fails on demand are the same.
"""
