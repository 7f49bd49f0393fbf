"""OpenAI's HTTP interface: recordings are uploaded and transcribed, models are listed."""
