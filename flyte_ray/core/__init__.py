"""The nouns and the rules: what a run is and what happens next.

Pure: the standard library only, no clock, no environment, no file, no Ray. Everything here can be
tested by comparing values.
"""
