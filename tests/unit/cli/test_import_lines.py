"""What lines of a file become: commands, or reasons that never repeat what the lines hold."""

import io
from pathlib import Path

import pytest

from device_ledger.cli.errors import CliError
from device_ledger.cli.import_lines import BadLine, Line, lines, opened
from device_ledger.domain.values import InvalidDeviceIdError


def of_csv(text: str) -> list[Line | BadLine]:
    """The lines of a CSV file."""
    return list(lines(io.StringIO(text, newline=""), is_csv=True))


def of_ndjson(text: str) -> list[Line | BadLine]:
    """The lines of an NDJSON file."""
    return list(lines(io.StringIO(text, newline=""), is_csv=False))


LINK = {"customerId": "anna", "deviceId": "phone-1", "phrase": "blue lake"}
LOGIN = {"customerId": "anna", "deviceId": "phone-1", "seenAt": "2026-01-31T09:30:00Z"}


def test_a_csv_line_with_a_phrase_is_a_link() -> None:
    assert of_csv("customerId,deviceId,phrase\nanna,phone-1,blue lake\n") == [Line(2, "link", LINK)]


def test_a_csv_line_without_a_phrase_is_a_login() -> None:
    header = "customerId,deviceId,phrase,seenAt,ipAddress,deviceInfo.model,deviceInfo.brand"
    line = "anna,phone-1,,2026-01-31T09:30:00Z,198.51.100.7,Pixel 9,"
    assert of_csv(f"{header}\n{line}\n") == [
        Line(
            2,
            "login-seen",
            {**LOGIN, "ipAddress": "198.51.100.7", "deviceInfo": {"model": "Pixel 9"}},
        )
    ]


def test_a_quoted_field_may_hold_a_line_end_and_lines_are_counted_as_an_editor_does() -> None:
    told = of_csv('customerId,deviceId,phrase\nanna,phone-1,"blue\nlake"\nanna,,x\n')
    assert told == [
        Line(3, "link", {**LINK, "phrase": "blue\nlake"}),
        BadLine(4, "deviceId is missing"),
    ]


def test_a_csv_line_of_another_width_is_refused() -> None:
    reason = "it has more or fewer fields than the header"
    assert of_csv("customerId,deviceId,phrase\nanna,phone-1\nanna,a,b,c\n") == [
        BadLine(2, reason),
        BadLine(3, reason),
    ]


def test_a_csv_with_a_column_of_another_name_is_refused_whole() -> None:
    with pytest.raises(CliError, match="unknown column colour"):
        of_csv("customerId,deviceId,colour\n")


def test_what_is_no_csv_is_told_with_its_line() -> None:
    with pytest.raises(CliError, match="line 2 is no CSV"):
        of_csv('customerId,deviceId,phrase\nanna,"phone"-1,x\n')


def test_an_empty_file_has_no_lines() -> None:
    assert (of_csv(""), of_ndjson("")) == ([], [])


def test_ndjson_lines_are_links_and_logins_and_empty_ones_are_left_out() -> None:
    text = (
        '{"customerId":"anna","deviceId":"phone-1","phrase":"blue lake"}\n\n'
        '{"command":"login-seen","customerId":"anna","deviceId":"phone-1",'
        '"seenAt":"2026-01-31T09:30:00Z","deviceInfo":{"model":"Pixel 9"}}'
    )
    assert of_ndjson(text) == [
        Line(1, "link", LINK),
        Line(3, "login-seen", {**LOGIN, "deviceInfo": {"model": "Pixel 9"}}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("secret", "it is no JSON object"),
        ('"secret"', "it is no JSON object"),
        ("[" * 60_000, "it is no JSON object"),
        ('{"customerId":"secret","phrase":"x"}', "deviceId is missing"),
        ('{"customerId":"secret","deviceId":"a"}', "seenAt is missing"),
        ('{"command":"secret"}', "command must be link or login-seen"),
        ('{"command":["secret"]}', "command must be link or login-seen"),
        (
            '{"customerId":"c","deviceId":"secret device","phrase":"x"}',
            f"deviceId {InvalidDeviceIdError.rule}",
        ),
        (
            '{"customerId":"c","deviceId":"a","phrase":" "}',
            "phrase must be 1 to 256 characters, not only white space",
        ),
        ('{"customerId":7,"deviceId":"a","phrase":"x"}', "customerId must be text in UTF-8"),
        (
            '{"customerId":"c","deviceId":"a","phrase":"x","seenAt":"secret"}',
            "seenAt is no field of link",
        ),
        (
            '{"customerId":"c","deviceId":"a","phrase":"x","secret":"x"}',
            "it has an unknown field",
        ),
        (
            '{"customerId":"c","deviceId":"a","seenAt":"31.1.2026 secret"}',
            "seenAt must be a time like 2026-01-31T09:30:00Z",
        ),
        (
            '{"customerId":"c","deviceId":"a","seenAt":"2026-01-31T09:30:00"}',
            "seenAt must be a time like 2026-01-31T09:30:00Z",
        ),
        (
            '{"customerId":"c","deviceId":"a","seenAt":"2026-01-31","deviceInfo":["secret"]}',
            "seenAt must be a time like 2026-01-31T09:30:00Z",
        ),
        (
            '{"customerId":"c","deviceId":"a","seenAt":"2026-01-31T09:30:00Z","deviceInfo":[1]}',
            "deviceInfo must be an object of texts",
        ),
    ],
)
def test_a_bad_line_is_refused_with_a_reason_that_does_not_repeat_it(
    line: str, reason: str
) -> None:
    assert of_ndjson(f"{line}\n") == [BadLine(1, reason)]


def test_an_endless_line_ends_the_import() -> None:
    with pytest.raises(CliError, match="line 2 is longer than 65536 characters"):
        of_ndjson('{"a":"x"}\n' + "x" * 100_000)


def test_bytes_that_are_no_utf_8_refuse_only_their_line(tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    file.write_bytes(b"\xef\xbb\xbfcustomerId,deviceId,phrase\nanna,phone-1,\xff\nanna,phone-1,x\n")
    with opened(file) as (_, found):
        assert list(found) == [
            BadLine(2, "phrase must be text in UTF-8"),
            Line(3, "link", {**LINK, "phrase": "x"}),
        ]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="No such file"), opened(tmp_path / "links.csv"):
        pass
