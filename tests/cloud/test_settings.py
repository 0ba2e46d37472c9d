import secrets
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from cloud.clients.secret_box import SecretBox
from cloud.errors import BadSettings
from cloud.settings import Environment, load_settings
from cloud.weak_secrets import weakness_of, weakness_of_key

SECRET = "s" * 32


def test_without_any_it_is_one_box_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path))
    settings = load_settings()

    assert (settings.is_cluster, settings.base_url) == (False, "http://127.0.0.1:8000")
    assert settings.sqlite_path == tmp_path / "cloud.db"
    assert settings.storage_folder == tmp_path / "artifacts"


def test_secret_of_one_box_is_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    first = settings.signing_secret()

    assert (settings.signing_secret(), len(first) >= 32) == (first, True)
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "cloud-secret.key").stat().st_mode) == 0o600


def test_variables_come_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('port = 9000\nlog_level = "error"\n')
    monkeypatch.setenv("SAFELIGHT_CONFIG", str(file))
    monkeypatch.setenv("SAFELIGHT_PORT", "9001")
    settings = load_settings()
    assert (settings.port, settings.log_level) == (9001, "error")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SAFELIGHT_PORT": "seven"}, "SAFELIGHT_PORT"),
        ({"SAFELIGHT_DATABASE_URL": "mysql://x"}, "SAFELIGHT_DATABASE_URL"),
        ({"SAFELIGHT_STORAGE_URL": "ftp://x"}, "SAFELIGHT_STORAGE_URL"),
        ({"SAFELIGHT_REDIS_URL": "x"}, "SAFELIGHT_REDIS_URL"),
        ({"SAFELIGHT_SECRET_KEY": "short"}, "SAFELIGHT_SECRET_KEY"),
        ({"SAFELIGHT_ENVIRONMENT": "production"}, "SAFELIGHT_SECRET_KEY"),
        ({"SAFELIGHT_DATABASE_URL": "postgresql://x/y"}, "SAFELIGHT_SECRET_KEY"),
        ({"SAFELIGHT_ENVIRONMENT": "production", "SAFELIGHT_SECRET_KEY": SECRET}, "SAFELIGHT_PUBLIC_URL"),
        (
            {
                "SAFELIGHT_ENVIRONMENT": "production",
                "SAFELIGHT_SECRET_KEY": SECRET,
                "SAFELIGHT_PUBLIC_URL": "https://x",
            },
            "SAFELIGHT_ENCRYPTION_KEYS",
        ),
        (
            {
                "SAFELIGHT_ENVIRONMENT": "production",
                "SAFELIGHT_SECRET_KEY": SECRET,
                "SAFELIGHT_PUBLIC_URL": "https://x",
                "SAFELIGHT_ENCRYPTION_KEYS": "k",
                "SAFELIGHT_ALLOWED_FETCH_HOSTS": "localhost",
            },
            "SAFELIGHT_ALLOWED_FETCH_HOSTS",
        ),
        ({"SAFELIGHT_COMFYUI_URLS": "ftp://gpu"}, "SAFELIGHT_COMFYUI_URLS"),
        ({"SAFELIGHT_CONFIG": "/nowhere.toml"}, "SAFELIGHT_CONFIG"),
    ],
)
def test_wrong_setting_is_named_and_its_value_is_not_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=named) as caught:
        load_settings()
    assert "short" not in caught.value.message.replace("short ", "")


PRODUCTION = {
    "SAFELIGHT_ENVIRONMENT": "production",
    "SAFELIGHT_SECRET_KEY": "0b7c52e9d1f84a3e96b02f6a7d5c8e14f3a9617be02d48c5",
    "SAFELIGHT_ENCRYPTION_KEYS": "o3Vw9Qe1kJ7hYx2mT5rLc8bN4sDf6gUaZpVtWqEiRyA=",
    "SAFELIGHT_PUBLIC_URL": "https://pictures.example",
}


def test_production_starts_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    assert load_settings().stop_notice_s == 5
    monkeypatch.setenv("SAFELIGHT_PUBLIC_URL", "http://127.0.0.1:8000")
    monkeypatch.setenv("SAFELIGHT_DATABASE_URL", "postgresql://safelight:9c1e70b2a4d8@db/safelight")
    monkeypatch.setenv("SAFELIGHT_REDIS_URL", "redis://redis:6379/0")
    load_settings()


def test_secrets_drawn_by_chance_are_taken() -> None:
    for _ in range(200):
        made = (secrets.token_hex(16), secrets.token_hex(32), secrets.token_urlsafe(32))
        assert [weakness_of(secret) for secret in made] == [None] * 3
        assert weakness_of_key(Fernet.generate_key().decode()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAFELIGHT_SECRET_KEY", ""),
        ("SAFELIGHT_SECRET_KEY", "changeme-changeme-0123456789abcdef"),
        ("SAFELIGHT_PUBLIC_URL", "http://pictures.example"),
        ("SAFELIGHT_CORS_ORIGINS", "*"),
        ("SAFELIGHT_ALLOWED_HOSTS", "*"),
        ("SAFELIGHT_LOG_LEVEL", "debug"),
        ("SAFELIGHT_METRICS_TOKEN", "short"),
        ("SAFELIGHT_METRICS_TOKEN", "abcabcabcabcabcabc"),
        ("SAFELIGHT_SECRET_KEY", "0123456789abcdef" * 4),
        ("SAFELIGHT_SECRET_KEY", "abcdefghijklmnopqrstuvwxyz0123456789"),
        ("SAFELIGHT_SECRET_KEY", "abab" * 9 + "cdcdcdc"),
        ("SAFELIGHT_ENCRYPTION_KEYS", "A" * 43 + "="),
        ("SAFELIGHT_ENCRYPTION_KEYS", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("SAFELIGHT_DATABASE_URL", "postgresql://safelight:safelight@db/safelight"),
        ("SAFELIGHT_DATABASE_URL", "postgresql://studio:studio@db/safelight"),
        ("SAFELIGHT_REDIS_URL", "redis://:password@redis:6379/0"),
        ("SAFELIGHT_S3_SECRET_ACCESS_KEY", "minioadmin"),
    ],
)
def test_production_does_not_start_with_what_is_for_development(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for given, normal in (PRODUCTION | {name: value}).items():
        monkeypatch.setenv(given, normal)
    with pytest.raises(BadSettings, match=name) as caught:
        load_settings()
    assert value == "" or value not in caught.value.message.replace("must not be *", "").replace(
        "be debug", ""
    )


@pytest.mark.parametrize("written", ["http://a:8188, http://b", '["http://a:8188", "http://b"]'])
def test_lists_are_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("SAFELIGHT_COMFYUI_URLS", written)
    settings = load_settings()
    assert settings.comfyui_urls == ("http://a:8188", "http://b")


def test_the_public_name_is_answered_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELIGHT_PUBLIC_URL", "https://Pictures.example:8443")
    assert load_settings().hosts[-1] == "pictures.example"


def test_postgres_is_reached_by_our_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELIGHT_DATABASE_URL", "postgresql://u@h/d")
    monkeypatch.setenv("SAFELIGHT_SECRET_KEY", SECRET)
    settings = load_settings()
    assert (settings.postgres_url, settings.environment) == (
        "postgresql+asyncpg://u@h/d",
        Environment.DEVELOPMENT,
    )


def test_secrets_at_rest_are_sealed_with_the_keys_given_or_with_one_of_our_own(tmp_path: Path) -> None:
    kept = load_settings(data_dir=tmp_path).sealing_keys()
    assert kept == load_settings(data_dir=tmp_path).sealing_keys()
    assert len(set(kept)) == 2  # and the one that follows from the secret that links are signed with
    assert SecretBox(kept).open(SecretBox(kept[1:]).seal("x")) == "x"
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "cloud-encryption.key").stat().st_mode) == 0o600
    given = load_settings(data_dir=tmp_path, encryption_keys="new,old")
    assert given.sealing_keys() == ("new", "old")
    assert "old" not in repr(given)


def test_processes_that_begin_together_keep_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_settings(data_dir=tmp_path).signing_secret(), range(32)))
    [secret] = set(found)
    assert len(secret) >= 32
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
