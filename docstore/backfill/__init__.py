"""The background rewriting of old rows."""
