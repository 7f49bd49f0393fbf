"""The parts that networks are built of, in any precision."""
