"""PUBLIC: what a user's own tests need, and the suites that every port implementation passes."""
