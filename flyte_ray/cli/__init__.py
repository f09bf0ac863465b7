"""The command `flyte-ray`: it reads arguments, calls the client and prints.

Results go to stdout, everything else to stderr. No rule of the house is decided here.
"""
