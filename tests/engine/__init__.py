"""The engine: the state table, the simulation, its named races, and the use cases."""
