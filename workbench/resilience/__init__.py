"""Policies for calls that fail: what to do next, decided by machines without a clock and without I/O.

Each takes `now` (seconds, on any clock) and `rng`, and answers with a decision; it neither waits nor sends.
So one object serves a live call (:mod:`workbench.calls`), virtual time and a simulation of many clients.
"""
