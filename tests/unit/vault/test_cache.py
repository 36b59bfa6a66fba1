from device_ledger.vault.cache import DataKey, KeyCache

ANNA, BERT, CARL = ("bank-a", "anna"), ("bank-a", "bert"), ("bank-b", "carl")
KEY = DataKey(1, b"k" * 32)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_forgotten_a_minute_after_it_was_asked_for() -> None:
    clock = Clock()
    cache = KeyCache(clock)
    cache.put(ANNA, KEY, read_at=0.0)
    clock.now = 59.9
    assert cache.get(ANNA) == KEY
    clock.now = 60.0
    assert cache.get(ANNA) is None


def test_the_keys_used_last_are_kept() -> None:
    cache = KeyCache(Clock(), size=2)
    cache.put(ANNA, KEY, 0.0)
    cache.put(BERT, KEY, 0.0)
    cache.get(ANNA)
    cache.put(CARL, KEY, 0.0)
    assert [cache.get(one) for one in (ANNA, BERT, CARL)] == [KEY, None, KEY]


def test_a_dropped_key_is_gone() -> None:
    cache = KeyCache(Clock())
    cache.put(ANNA, KEY, 0.0)
    cache.drop(ANNA)
    cache.drop(BERT)
    assert cache.get(ANNA) is None


def test_a_data_key_does_not_show_its_bytes() -> None:
    assert repr(KEY) == "DataKey(generation=1)"
