"""The only place that speaks to a driver; everything above works with what stands here."""
