"""Texts of many scripts, and texts that exercise every rule of the normalizers, made by seeded generators."""

import random

SENTENCES = (
    "", " ", "  two  spaces ", "\n\ttabs\r\nlines\n", "don't we'll I'M it's 'tis", "3.14159 1,000,000 ½ ² Ⅳ ١٢٣",
    " So what's that? \"Well\" - (he said) 'never' [again]...", "e\u0301 \u00e9 \u1e9e ﬁ ǆ İstanbul ﷽",
    " Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "Все люди рождаются свободными и равными", "人人生而自由,在尊严和权利上一律平等。",
    "すべての人間は、生まれながらにして自由であり、",
    "모든 인간은 태어날 때부터 자유로우며", "มนุษย์ทั้งหลายเกิดมามีอิสระ", "ທຸກຄົນເກີດມາມີອິດສະຫຼະ", "လူတိုင်းသည် တူညီ",
    "सभी मनुष्यों को गौरव", "সমস্ত মানুষ স্বাধীনভাবে", "எல்லா மனிதர்களும்", "يولد جميع الناس أحرارًا", "כל בני האדם נולדו",
    "ყველა ადამიანი", "Բոլոր մարդիկ", "ሰብአዊ ፍጡራን", "ཡོངས་སུ", "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ♪♪♪ ♩ 𝔘𝔫𝔦 𐍈",
    "\x00\x01\x7f\u200b\ufeff\u2028\ufffd", "<| 0.00 |>", "a" * 500, "\U0010ffff", "ﷺ؟¿¡",
)  # fmt: skip
COMMANDS = (
    "<|en|> is a token",
    "<|endoftext|>",
    "a<|0.00|> b <|1.08|><|1.08|>",
    "<|startofprev|><|nospeech|>x",
    "<|xx|>",
)
"""Texts with special tokens and timestamps written out."""
SPOKEN_NUMBERS = (
    "o oh zero one two three four five six seven eight nine ten eleven twelve thirteen nineteen twenty thirty "
    "forty ninety hundred thousand million billion trillion decillion ones twos sixes tens twenties fifties "
    "hundreds millions zeroth first second third fourth fifth eighth ninth twelfth thirteenth twentieth "
    "ninetieth hundredth thousandth millionth minus negative plus positive pound pounds euro euros dollar "
    "dollars cent cents per percent and double triple point a half 0 1 2 7 10 11 20 99 100 101 1000 1960s 3rd "
    "21st 1st 2nd 42nd 0.5 3.14 12.0 1,000 1,234,567 $2 $20 £3.50 €7 ¢5 -4 +7 5% 50 % 3.5% 1 1s 00 007 "
    "192.168.0.1 2.0.1 ½ ² Ⅳ ١٢٣ １２ "
)
TRICKY_WORDS = (
    "Mr Mrs St Dr Prof Capt Gov Ald Gen Sen Rep Pres Rev Hon Asst Assoc Lt Col Jr Sr Esq won't can't let's "
    "ain't y'all wanna gotta gonna I'ma imma woulda coulda shoulda ma'am he's been she'd gone it's done they'd "
    "done who's got isn't we're it's he'd I'll 't we've I'm o'clock hmm mm mhm mmm uh um colour centre "
    "organise realised travelling theatre grey jewellery aluminium the house dog of naïve café œuvre Øre Ærø "
    "Straße ẞ đ ð þ Łódź Ångström (aside) [noise] <tag> (open [open <open ] ) > .. . , ; : ! ? - – — … ' \" “ ” "
    "’ # & * + / = @ \\ ^ _ ` { | } ~ © ™ € £ $ ¢ % ° ♪ $x x$ .x x. %x x% .5 5. a.b 3a a3 3.a "
)
NUMBERS, WORDS = SPOKEN_NUMBERS.split(), TRICKY_WORDS.split()
BLOCKS = [*range(0x20, 0x3000, 0x40), *range(0x3000, 0xD7C0, 0x400), *range(0xF900, 0xFFC0, 0x40), 0x10300, 0x11000,
          0x1D400, 0x1F100, 0x1F300, 0x1F600, 0x1F900, 0x20000, 0xE0100]  # fmt: skip


def unicode_texts(count, seed=3):
    """Characters of every plane and script, in runs of one block each."""
    rng = random.Random(seed)
    for _ in range(count):
        runs = []
        for _ in range(rng.randint(1, 6)):
            block = rng.choice([32, 32, 64, 96, 160, *range(0x100, 0xD700, 0x80), 0xF900, 0x1F300, 0x10300, 0x20000])
            runs.append("".join(chr(block + rng.randrange(128)) for _ in range(rng.randint(1, 12))))
        yield rng.choice(["", " "]).join(runs)


def normalizer_texts(count, seed=11):
    """Spoken and written numbers, titles, contractions, spellings, punctuation and any script, in random order."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.random()
        pieces = []
        for _ in range(rng.randint(0, 12)):
            if kind < 0.5:
                source = NUMBERS if rng.random() < 0.85 else WORDS
            elif kind < 0.8:
                source = WORDS if rng.random() < 0.7 else NUMBERS
            else:
                source = None
            if source is None:
                block = rng.choice(BLOCKS)
                pieces.append("".join(chr(block + rng.randrange(64)) for _ in range(rng.randint(1, 6))))
            else:
                pieces.append(rng.choice(source))
        text = "".join(
            piece + rng.choice(["", " ", " ", " ", " ", "  ", "\n", ",", ". ", "-", "'"]) for piece in pieces
        )
        yield rng.choice([text, text, text.upper(), text.title()])
