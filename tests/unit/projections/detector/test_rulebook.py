"""The rules of a directory are what its files say at the moment."""

from pathlib import Path

from projections.detector.rulebook import RuleBook
from tests.samples.small_rules import LINKS, MISSES, write_rules


def names(book: RuleBook) -> list[str]:
    return sorted(rule.name for rule in book.rules)


def test_a_file_that_comes_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    write_rules(tmp_path, links=LINKS)
    assert book.refresh()
    assert (names(book), book.refresh()) == (["links"], False)
    [before] = book.rules
    write_rules(tmp_path, misses=MISSES)
    assert book.refresh()
    assert names(book) == ["links", "misses"]
    assert before in book.rules
    write_rules(tmp_path, links=LINKS.replace("level: high", "level: low"))
    assert book.refresh()
    assert {rule.name: rule.level for rule in book.rules} == {"links": "low", "misses": "low"}
    (tmp_path / "misses.yml").unlink()
    assert book.refresh()
    assert names(book) == ["links"]


def test_a_file_that_is_no_rule_stops_no_other_and_can_be_mended(tmp_path: Path) -> None:
    book = RuleBook(tmp_path)
    write_rules(tmp_path, links=LINKS, misses="title: [")
    book.refresh()
    assert names(book) == ["links"]
    assert list(book.failing) == ["misses.yml"]
    assert not book.refresh()
    write_rules(tmp_path, misses=MISSES)
    book.refresh()
    assert (names(book), book.failing) == (["links", "misses"], {})


def test_no_directory_is_no_rules(tmp_path: Path) -> None:
    book = RuleBook(tmp_path / "nowhere")
    assert (book.refresh(), book.rules) == (False, [])
