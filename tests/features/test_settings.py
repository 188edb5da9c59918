import pytest

from features.errors import SettingsError
from features.settings import Settings


def written(folder, text):
    (folder / "recompra.toml").write_text(text)
    return folder


def test_without_a_file_the_zone_is_utc(tmp_path):
    assert Settings.load(tmp_path).timezone == "UTC"


def test_a_file_is_read_over_the_defaults_of_an_adapter(tmp_path):
    defaults = Settings(timezone="Europe/London", horizon_days=60)
    settings = Settings.load(written(tmp_path, "horizon_days = 30\n"), defaults)
    assert (settings.timezone, settings.horizon_days) == ("Europe/London", 30)


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(SettingsError, match=r"time_zone.*timezone"):
        Settings.load(written(tmp_path, 'time_zone = "UTC"\n'))


def test_an_unknown_zone_says_what_a_zone_looks_like(tmp_path):
    with pytest.raises(SettingsError, match="Europe/Lisbon"):
        Settings.load(written(tmp_path, 'timezone = "Lisboa"\n'))


def test_broken_toml_names_the_file(tmp_path):
    with pytest.raises(SettingsError, match=r"recompra\.toml is not valid TOML"):
        Settings.load(written(tmp_path, "timezone = \n"))
