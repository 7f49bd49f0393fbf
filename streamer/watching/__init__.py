"""Those who watch: what sessions said is kept for a while, and shown to any number of people without slowing them."""
