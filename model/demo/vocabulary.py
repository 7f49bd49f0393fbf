"""The rows of Whisper's vocabulary that the demo model uses, and how training sees them.

Training runs on these rows alone; `export.py` puts them at their places among the 51,865. All rows that are not used
become copies of UNKNOWN: one dimension of the embedding (RESERVED) is zero in used rows, and the decoder's last layer
norm has weight 0 and a fixed bias there, so that an unknown row's logit is a constant far below the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

VOCABULARY = 51_865
ENDOFTEXT, STARTOFTRANSCRIPT, ENGLISH, TRANSLATE, TRANSCRIBE = 50257, 50258, 50259, 50358, 50359
STARTOFPREV, NOSPEECH, NOTIMESTAMPS, FIRST_TIMESTAMP = 50361, 50362, 50363, 50364
LANGUAGES = range(50259, 50358)
DIGIT_TOKENS = (4018, 472, 732, 1045, 1451, 1732, 2309, 3407, 3180, 4949)
""" " zero" to " nine", each one token of the multilingual vocabulary; `tests/model/test_demo_model.py` checks them."""
NEWLINE_TOKEN = 198
"""What is said of silence where the rules forbid to end at once: `strip` makes it empty."""

# Rows of the small vocabulary, in this order.
DIGIT, NEWLINE, UNKNOWN, EOT, SOT, EN, OTHER_LANGUAGE = 0, 10, 11, 12, 13, 14, 15
SMALL_TRANSLATE, SMALL_TRANSCRIBE, PREV, SILENT, PLAIN, TIME = 16, 17, 18, 19, 20, 21
TIMESTAMPS = 1501
SMALL = TIME + TIMESTAMPS

RESERVED = 127
"""The embedding's last dimension: its sinusoid is the slowest cosine, so timestamps lose nothing by its absence."""
RESERVED_BIAS = 4.0
UNKNOWN_VALUE = -10.0
"""Times the bias: logit -40."""
OTHER_LANGUAGE_VALUE = -2.0
"""Times the bias: each language but English is e^8 less likely than English, and reads like it."""
UNUSED_ROWS = VOCABULARY - (10 + 1 + 1 + 1 + len(LANGUAGES) + 2 + 1 + 1 + 1 + TIMESTAMPS)


def reserved_column() -> Tensor:
    """Return the fixed values of the reserved dimension over the small vocabulary, (SMALL,)."""
    column = torch.zeros(SMALL)
    column[UNKNOWN] = UNKNOWN_VALUE
    column[OTHER_LANGUAGE] = OTHER_LANGUAGE_VALUE
    return column


def rows_of_vocabulary() -> Tensor:
    """For each token of the full vocabulary its row of the small one, (VOCABULARY,) long."""
    rows = torch.full((VOCABULARY,), UNKNOWN)
    rows[list(DIGIT_TOKENS)] = torch.arange(DIGIT, DIGIT + 10)
    rows[list(LANGUAGES)] = OTHER_LANGUAGE
    single = {
        NEWLINE_TOKEN: NEWLINE, ENDOFTEXT: EOT, STARTOFTRANSCRIPT: SOT, ENGLISH: EN, TRANSLATE: SMALL_TRANSLATE,
        TRANSCRIBE: SMALL_TRANSCRIBE, STARTOFPREV: PREV, NOSPEECH: SILENT, NOTIMESTAMPS: PLAIN,
    }  # fmt: skip
    for token, row in single.items():
        rows[token] = row
    rows[FIRST_TIMESTAMP:] = torch.arange(TIME, SMALL)
    return rows
