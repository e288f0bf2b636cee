"""The pure core: no driver, no event loop, no clock, no randomness, no logging."""
