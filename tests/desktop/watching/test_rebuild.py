from desktop.watching.rebuild import match_outputs


def test_outputs_are_matched_to_sources_by_folder_and_name() -> None:
    sources = ["a.jpg", "sub/a.jpg", "b.heic", "c.png"]
    records = [
        ("a.jpg", "d1"),
        ("a (2).jpg", "d2"),
        ("b.jpg", "d3"),
        ("sub/a.webp", "d4"),
        ("gone.jpg", "d5"),
    ]

    assert match_outputs(sources, records) == (
        ("a.jpg", "d1"),
        ("a.jpg", "d2"),
        ("sub/a.jpg", "d4"),
        ("b.heic", "d3"),
    )


def test_names_match_in_either_spelling() -> None:
    assert match_outputs(["e\u0301.png"], [("\u00e9.png", "d1")]) == (("e\u0301.png", "d1"),)
