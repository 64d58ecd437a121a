"""History: rows that carry the layer that wrote them, branches that see layers, commits that freeze them."""
