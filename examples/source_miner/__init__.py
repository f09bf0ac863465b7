"""The main example: learn which package a source file comes from, durably and in parallel.

`workflow.py` is the entry; README.md walks through it. This file imports nothing, so that a worker
which analyses a file never loads scikit-learn or matplotlib.
"""
