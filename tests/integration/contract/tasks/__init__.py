"""The tasks that the contract suite runs; importable, since Ray's workers import them too."""
