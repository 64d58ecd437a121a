"""Film files understood: containers, sample tables, time code, and what a part of one is made of."""
