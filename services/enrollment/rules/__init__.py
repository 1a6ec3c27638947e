"""Decisions of enrollment. Pure: plain values and `now` in, new values or refusals out."""
