"""The captions pages, as browsers get them: no build step, nothing from elsewhere. `http/pages.py` serves them."""
