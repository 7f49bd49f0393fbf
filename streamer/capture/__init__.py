"""Sound devices: listed, recorded in a process of their own, and opened again when they come back."""
