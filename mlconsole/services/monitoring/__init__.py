"""What serves, watched: counters read from pods or from Prometheus, drift of live traffic, quality by late labels."""
