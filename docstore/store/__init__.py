"""The read and write path that services embed."""
