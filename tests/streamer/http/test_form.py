from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.http.errors import ApiError
from streamer.http.form import (
    ENVELOPE_BYTES,
    MAX_FIELD_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_NAME_BYTES,
    MAX_PARTS,
    FormReader,
)
from tests.streamer.http.uploads import BOUNDARY, form

TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
FILE = random.Random(1).randbytes(3000) + b"\r\n--" + BOUNDARY[:-1] + b"\r\n"


class Spool:
    """Remembers everything."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def parse(body: bytes, chunk: int = 1 << 20, limit: int = 1 << 20, kind: str = TYPE) -> tuple[FormReader, bytes]:
    spool = Spool()
    reader = FormReader(kind, spool, limit)
    for at in range(0, len(body), chunk):
        reader.feed(body[at : at + chunk])
    reader.finish()
    return reader, spool.data


def refusal(body: bytes, **options: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(body, **options)  # type: ignore[arg-type]
    return caught.value


@given(
    order=st.permutations([("file", FILE), ("model", "whisper-1"), ("prompt", "Zoë\r\n--"), ("include[]", "a")]),
    chunk=st.integers(1, 400),
)
def test_parts_come_in_any_order_and_in_any_pieces(order, chunk):
    found, file = parse(form(*order, ("include[]", "b")), chunk)

    assert file == FILE
    assert found.fields == {"model": ["whisper-1"], "prompt": ["Zoë\r\n--"], "include[]": ["a", "b"]}


def test_a_part_is_known_by_its_name_alone():
    body = b'--%s\r\ncontent-disposition: form-data; name="file"\r\n\r\nabc\r\n--%s--' % (BOUNDARY, BOUNDARY)

    assert parse(body)[1] == b"abc"


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=a"])
def test_what_is_no_form_is_refused(kind):
    error = refusal(b"", kind=kind)

    assert (error.status, error.code) == (400, "invalid_content_type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        form(("file", FILE))[:-40],
        form(("file", FILE), end=b""),
        form(("", "nameless"), ("file", FILE)),
        form(("n" * 200, "long"), ("file", FILE)),
        b"--%s\r\nno header\r\n\r\n\r\n--%s--\r\n" % (BOUNDARY, BOUNDARY),
        b"--%s\r\n\r\nno name\r\n--%s--\r\n" % (BOUNDARY, BOUNDARY),
        form(*[("a", "")] * MAX_PARTS, ("file", FILE)),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(body):
    assert refusal(body).status == 400
    assert refusal(body, chunk=7).status == 400


def test_a_boundary_without_end_is_refused():
    boundary = b"a" * 1000

    body = form(("file", FILE)).replace(BOUNDARY, boundary)
    assert refusal(body, kind=f"multipart/form-data; boundary={boundary.decode()}").code == "invalid_form"


def test_as_many_parts_as_there_may_be_are_taken_with_names_as_long_as_they_may_be():
    name = "n" * MAX_NAME_BYTES
    found, file = parse(form(*[(name, "a")] * (MAX_PARTS - 1), ("file", FILE)))

    assert (found.fields, file) == ({name: ["a"] * (MAX_PARTS - 1)}, FILE)


def test_a_form_needs_one_file():
    none, several = refusal(form(("model", "a"))), refusal(form(("file", FILE), ("file", FILE)))

    assert (none.status, none.param, none.code) == (400, "file", "missing_required_parameter")
    assert (several.status, several.param) == (400, "file")


def test_a_file_may_have_exactly_as_many_bytes_as_it_may():
    assert parse(form(("file", FILE)), limit=len(FILE))[1] == FILE
    assert refusal(form(("file", FILE)), limit=len(FILE) - 1).code == "file_too_large"


def test_a_field_is_bounded():
    assert parse(form(("prompt", "a" * MAX_FIELD_BYTES), ("file", FILE)))
    assert refusal(form(("prompt", "a" * (MAX_FIELD_BYTES + 1)), ("file", FILE))).param == "prompt"


def test_all_fields_together_are_bounded():
    fields = [("prompt", "a" * MAX_FIELD_BYTES)] * (ENVELOPE_BYTES // MAX_FIELD_BYTES)

    assert refusal(form(*fields, ("file", FILE)), chunk=10_000).code == "form_too_large"


def test_what_follows_the_form_is_bounded():
    assert refusal(form(("file", FILE)) + b"a" * (ENVELOPE_BYTES + 1), chunk=10_000).code == "form_too_large"


def test_the_headers_of_a_part_are_bounded():
    good = form(("file", FILE))

    assert parse(good.replace(b"\r\nContent-Type", b"\r\nA: %s\r\nContent-Type" % (b"a" * 1000)))
    assert refusal(good.replace(b"\r\nContent-Type", b"\r\nA: %s\r\nContent-Type" % (b"a" * MAX_HEADER_BYTES)))
    assert refusal(good.replace(b"\r\nContent-Type", b"\r\nA: b" * MAX_HEADERS + b"\r\nContent-Type"))


def test_a_field_that_is_no_text_is_refused():
    body = form(("prompt", "\0\0")).replace(b"\0\0", b"\xff\xfe")

    assert refusal(body).param == "prompt"
