"""What all networks share: weights that are made, loaded and kept, and the heads on them."""
