"""Retiring versions: proved, recorded, and kept away by the server from then on."""
