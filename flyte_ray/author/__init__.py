"""What an author of workflows holds in the hand: environments, tasks, map, trace, scope.

A task asks; it does not know whom. Nothing here runs a child: the controller found in the context
does, and without one a call is a plain Python call.
"""
