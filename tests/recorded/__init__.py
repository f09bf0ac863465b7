"""Stores as each release wrote them. They are never written again: later releases must read them."""
