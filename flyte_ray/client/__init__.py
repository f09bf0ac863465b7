"""The side of the user: settings, the session, starting a run, the handle of a run.

`engines` is the one place that chooses who carries a run out.
"""
