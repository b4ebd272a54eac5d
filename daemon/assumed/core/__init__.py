"""Decisions. No I/O, no clock, no randomness, no logging: instants and numbers come in, decisions go out."""
