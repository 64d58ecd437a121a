"""Proxies: smaller renditions of originals, frame for frame in step with them."""
