import pytest

from cloud.services.key_text import key_digest, looks_right, new_key, shown_part


def test_new_keys_look_right_and_differ() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(looks_right(key) for key in keys)
    assert all(key.startswith("sl_live_") and key[8:].isalnum() for key in keys)


@pytest.mark.parametrize("at", [8, 20, 37, 43])
def test_one_wrong_character_is_found_without_a_database(at: int) -> None:
    key = new_key()
    wrong = key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :]
    assert not looks_right(wrong)


@pytest.mark.parametrize("text", ["", "sl_live_", "sl_live_é", "x" * 44, "sl_live_" + "0" * 36])
def test_other_texts_are_no_keys(text: str) -> None:
    assert not looks_right(text)


def test_only_a_digest_and_the_first_characters_are_kept() -> None:
    key = new_key()
    assert len(key_digest(key)) == 64
    assert key not in key_digest(key)
    assert shown_part(key) == key[:12]
